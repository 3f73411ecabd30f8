"""Judges that ship with the bench; the file name is the judge's name."""
