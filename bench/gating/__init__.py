"""Gating: criteria held against contrasts, with three verdicts, in words and for machines."""
