"""What every family of causal language models must do here: a tiny random model of each, the same checks for all."""
