"""Tests of one sample of paired values: intervals, p-values, corrections, margins, resampling."""
