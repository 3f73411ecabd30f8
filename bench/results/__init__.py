"""The files that a run leaves: schema, reader and writer of each, and no computation."""
