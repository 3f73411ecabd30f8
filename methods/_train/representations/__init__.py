"""Training by hidden states and by instruction (RAHF, HIR)."""
