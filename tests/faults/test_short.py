"""A part of every kind of fault; ``python -m tests.faults`` does all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.case import Case, kinds, spread

SHORT = [(kind, case) for kind, module in kinds().items() for case in spread(module.cases(), module.IN_SUITE)]


@pytest.mark.parametrize(("kind", "case"), SHORT, ids=[f"{kind}-{case.name}" for kind, case in SHORT])
def test_it_ends_as_it_should(kind: str, case: Case, tmp_path: Path) -> None:
    case.do(tmp_path)
