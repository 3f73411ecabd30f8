"""The parts of the embedded world ``atlas``: knowledge, grammar, gold utility, annotator, tokenizer, stages."""

from __future__ import annotations

WORLD_VERSION = 1
"""Raised by hand when the bytes that a world seed gives change; every stage and task of the world carries it."""

DEFAULT_WORLD_SEED = 7
"""The world of the shipped comparisons. Any other integer gives another world of the same kind."""
