"""The evaluator: generate, judge, score, and write rows, never averages."""
