"""Data as tokens: as one by one, kept whole, and never all in memory."""
