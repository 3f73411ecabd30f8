"""Strengths and rankings of all methods of a comparison."""
