"""Cells of the evaluation and the policies they are about, as values."""
