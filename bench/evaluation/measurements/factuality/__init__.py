"""Claims of responses: found, held against what is known, counted."""
