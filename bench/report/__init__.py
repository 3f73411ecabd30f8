"""The report: generated from contrasts, records and the run summary, without torch."""
