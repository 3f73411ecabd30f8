"""Weights that are kept in 4 or 8 bits."""
