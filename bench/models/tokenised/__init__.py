"""Data as tokens: made once, kept in files that are mapped, and fitted as it is read."""
