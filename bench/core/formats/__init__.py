"""Files of others: how the rows of each format are read, a row at a time, and what a model folder says of itself."""
