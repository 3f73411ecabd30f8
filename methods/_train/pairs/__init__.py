"""Training on pairs of responses, and the log-probabilities of a reference."""
