"""The kinds that damage a finished comparison share the one that the suite has computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import _whole


@pytest.fixture(scope="session", autouse=True)
def _computed_once(computed: Path) -> None:
    _whole.computed_at.append(computed)
