"""Alignment methods: one file per method; the file name is the method's name in a comparison."""
