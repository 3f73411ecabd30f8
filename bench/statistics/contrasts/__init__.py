"""From records to contrasts between methods."""
