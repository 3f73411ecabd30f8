"""Retrievers: what finds the passages nearest to a claim. One file, one retriever."""
