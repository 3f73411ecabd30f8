"""How prompts and responses share a forward pass."""
