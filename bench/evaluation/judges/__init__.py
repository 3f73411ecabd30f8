"""One file per judge; the file name is its name in a comparison.

A judge in a file of its own needs ``bench.core``; this package gives away how a judge that rates compares by ratings.
"""

from bench.evaluation.judges._ratings import rated_pairs, verdict_on_ratings

__all__ = ["rated_pairs", "verdict_on_ratings"]
