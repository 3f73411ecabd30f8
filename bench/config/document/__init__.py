"""A YAML document with the places of its values, its layers and its problems."""
