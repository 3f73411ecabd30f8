"""Supervised fine-tuning: the stage and its body."""
