"""Policies: loading, chat rendering, log-probabilities, decoding. Torch lives here."""
