"""Rates of factual errors, as ratios of sums of claims."""
