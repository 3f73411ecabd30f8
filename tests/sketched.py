"""Reports in tests that do not look at pictures: figures are built as ever, but an empty drawing is written for each.

Rendering is half the time of a whole tiny comparison. Real pictures: tests/report/figures, tests/report/test_report.py,
tests/report/page/test_browser.py, tests/cli/test_cli.py, tests/gate/test_planted.py and, of what learning adds to a
report, tests/report/test_learning_report.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.report.figures.theme import save as theme_save

EMPTY = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>\n'


@contextmanager
def sketched(drawn: Collection[str] = ()) -> Iterator[None]:
    """Within the block every picture of this process is an empty file of its name, but for those that are ``drawn``."""

    def save(figure: Any, folder: Path, name: str) -> None:
        (theme_save if name in drawn else sketch)(figure, folder, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.report.figures.theme.save", save)
        yield


def sketch(_figure: Any, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.png").write_bytes(b"")
    (folder / f"{name}.svg").write_text(EMPTY, encoding="utf-8")
