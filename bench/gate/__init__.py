"""What a criterion says of contrasts, and of a finished run."""
