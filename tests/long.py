"""Tests that have a shorter sister in the suite, and run where ``ALIGNMENT_BENCH_LONG`` is set (CONTRIBUTING.md)."""

from __future__ import annotations

import os

import pytest

with_a_shorter_sister = pytest.mark.skipif(
    "ALIGNMENT_BENCH_LONG" not in os.environ,
    reason="ALIGNMENT_BENCH_LONG is not set: a shorter one is here",
)
