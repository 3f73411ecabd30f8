"""What a report says on a terminal."""
