"""From a comparison file to a frozen Comparison: every error at once, with its line, and no side effects."""
