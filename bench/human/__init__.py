"""Asking people: questions out, blind to the methods, and answers back."""
