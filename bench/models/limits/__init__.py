"""What is done to keep models of others within bounds: their templates, their weights, and their words about errors."""
