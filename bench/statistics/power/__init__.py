"""What could have been detected, and how many prompts or seeds would decide."""
