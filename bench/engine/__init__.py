"""Engines: where stages run (in this process, or in worker processes side by side)."""
