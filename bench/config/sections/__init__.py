"""One file per section of a comparison file."""
