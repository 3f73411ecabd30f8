"""Verifiers: what says whether a claim is supported. One file, one verifier."""
