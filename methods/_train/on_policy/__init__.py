"""Training on rollouts of the policy itself."""
