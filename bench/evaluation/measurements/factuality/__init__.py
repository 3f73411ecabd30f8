"""Claims of responses: found, held against what is known, counted."""

from bench.evaluation.measurements.factuality.factual_errors import FactualErrors

__all__ = ["FactualErrors"]
