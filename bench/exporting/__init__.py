"""Exporting: contrasts as tables for papers and programs, and policies as models with a card."""
