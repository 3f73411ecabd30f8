"""Reports in tests that do not look at pictures: figures are built as ever, but an empty drawing is written for each.

Rendering is half the time of a whole tiny comparison. Real pictures: tests/report/figures, tests/report/test_report.py,
tests/report/page/test_browser.py, tests/cli/test_cli.py and tests/gate/test_planted.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

EMPTY = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>\n'


@contextmanager
def sketched() -> Iterator[None]:
    """Within the block every picture of this process is an empty file of its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.report.figures.theme.save", save)
        yield


def save(_figure: Any, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.png").write_bytes(b"")
    (folder / f"{name}.svg").write_text(EMPTY, encoding="utf-8")
