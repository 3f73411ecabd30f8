"""Claims of responses: found, held against what is known, counted."""

from bench.evaluation.measurements.factuality.measurement import FactualErrors

__all__ = ["FactualErrors"]
