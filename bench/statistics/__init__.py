"""Statistics: from rows to contrasts. Pure numpy and scipy, no torch."""
