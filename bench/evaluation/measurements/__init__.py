"""One file per measurement: its stage, the cells it plans, the rows it gives."""
