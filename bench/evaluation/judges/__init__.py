"""One file per judge; the file name is its name in a comparison."""
