"""One file per retriever of passages."""
