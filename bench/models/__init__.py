"""Policies and reward models in memory."""
