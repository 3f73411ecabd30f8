"""Annotators: questions out, blind to the methods, and annotations back."""
