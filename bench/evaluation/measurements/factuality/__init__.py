"""Claims of responses: extracted, verified, counted."""

from bench.evaluation.measurements.factuality.factual_errors import FactualErrors

__all__ = ["FactualErrors"]
