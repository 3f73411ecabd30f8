"""alignment-bench: compare LLM alignment methods as a clinical trial compares treatments."""

__version__ = "0.1.0"
