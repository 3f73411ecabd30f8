"""How data sets lay out a pair, a chat or a rating: each format makes the program's rows of a file's."""
