"""The command line: parse, call, print. One file per group of commands, each command a function.

A command imports what it needs when it runs, so that every other command starts without it.
"""

from bench.cli.app import main

__all__ = ["main"]
