"""What is written of a report, and what stands in its way."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.core.errors import DataError
from bench.report.page.markdown import refuse_occupied


def test_what_stands_where_the_report_writes_is_told_in_one_line(tmp_path: Path) -> None:
    refuse_occupied(tmp_path)
    (tmp_path / "plots").write_text("a file", encoding="utf-8")
    with pytest.raises(DataError, match="plots: a file stands where the report writes"):
        refuse_occupied(tmp_path)
    (tmp_path / "plots").unlink()
    (tmp_path / "report.md").mkdir()
    with pytest.raises(DataError, match=r"report\.md: a folder stands where the report writes"):
        refuse_occupied(tmp_path)
