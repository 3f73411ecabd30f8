"""The bench from Python: results as pandas DataFrames, for notebooks and scripts. The names stand in ``bench``."""
