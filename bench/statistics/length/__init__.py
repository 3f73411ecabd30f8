"""Win rates at equal length, and how much of a liking for length is left."""
