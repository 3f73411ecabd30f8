"""Log-probabilities of given tokens, and what rests on them."""
