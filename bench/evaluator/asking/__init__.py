"""Asking a model behind an API: questions, answers, what they cost, and where they are kept."""
