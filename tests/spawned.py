"""Processes of their own that import what their function needs and no more: for what several do with files at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess


def start(function: Callable[..., object], *arguments: object) -> BaseProcess:
    """Return a process that runs a function of a module; 0 is its exit code where the function returns."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    return process
