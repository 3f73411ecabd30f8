"""Scores of outputs and judgements made elsewhere: the statistics without training. No torch."""
