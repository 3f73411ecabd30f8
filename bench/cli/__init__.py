"""The command line: parse, call, print. One file per group of commands."""

from bench.cli.app import main

__all__ = ["main"]
