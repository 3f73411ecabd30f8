"""How far judges and labellers can be trusted."""
