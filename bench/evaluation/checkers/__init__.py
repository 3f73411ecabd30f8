"""Plug-ins that find and check claims."""
