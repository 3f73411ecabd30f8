"""Collecting: from finished stages to records and the run summary. No torch, no averages."""
