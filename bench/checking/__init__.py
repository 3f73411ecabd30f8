"""Checking what a run left: the gate, baselines, and whether everything can be computed again."""
