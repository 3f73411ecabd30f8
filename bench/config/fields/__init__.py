"""How one value of a comparison file is read: plug-ins, files, data sources, forms."""
