"""Tracking: the scalars of a finished run, handed to an experiment tracker. Nothing here is needed for a run."""
