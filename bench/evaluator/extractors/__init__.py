"""Extractors: what turns a response into claims. One file, one extractor."""
