"""Processes that may be killed and have nothing to import: forks of one that has loaded what trains.

Loading torch and transformers takes five to eight seconds of processor time in every new process. Processes whose
start is not what is tested come from ``multiprocessing``'s fork server, which has loaded it once: it never computes a
gradient itself, after which torch refuses to in a fork.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess

LOADED = ["tests.loaded"]


def start(function: Callable[..., object], *arguments: object) -> BaseProcess:
    """Return a process that runs a function of a module; 0 is its exit code where the function returns."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    process = context.Process(target=function, args=arguments)
    process.start()
    return process
