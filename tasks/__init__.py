"""Tasks and embedded worlds: one file per task; the file name is the task's name in a comparison.

A task in a file of its own needs ``bench.core``; this package gives away how its own tasks compare free text with
reference answers.
"""

from tasks._answer_matching import contains_any, declines, equals_any, normalised, overlap, whole_answer

__all__ = ["contains_any", "declines", "equals_any", "normalised", "overlap", "whole_answer"]
