"""What contrasts.json holds."""
