"""A comparison from its file to its report."""
