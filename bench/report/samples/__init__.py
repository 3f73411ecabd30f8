"""Responses to one prompt, side by side."""
