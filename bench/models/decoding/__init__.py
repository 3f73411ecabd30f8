"""Sampling of responses."""
