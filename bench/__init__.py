"""alignment-bench: compare LLM alignment methods as a clinical trial compares treatments.

From Python: ``load`` the results of a run as DataFrames, ``run`` a comparison, ``score`` outputs made elsewhere, and
name all ``plugins`` (docs/python.md). Each is imported when it is asked for: a command imports no more than it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.notebook.calls import plugins as plugins
    from bench.notebook.calls import run as run
    from bench.notebook.calls import score as score
    from bench.notebook.results import Results as Results
    from bench.notebook.results import load as load

__version__ = "0.1.0"
_MODULES = {
    "Results": "bench.notebook.results",
    "load": "bench.notebook.results",
    "plugins": "bench.notebook.calls",
    "run": "bench.notebook.calls",
    "score": "bench.notebook.calls",
}
__all__ = list(_MODULES)

if not TYPE_CHECKING:  # a type checker would take it for leave to ask for any name

    def __getattr__(name: str) -> object:
        """Return what a public name stands for."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Return the public names, and what has been imported."""
    return sorted({*globals(), *__all__})
