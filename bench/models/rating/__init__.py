"""Models made elsewhere that say what a response is worth: classifiers with a head, and pairs of policies."""
