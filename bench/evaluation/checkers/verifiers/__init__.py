"""One file per verifier of claims."""
