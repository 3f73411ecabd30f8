"""How many modules a reader goes through, for three trips of a value (``tests.trips``): never more than today."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trips import trips

MOST = {"comparison_to_number": 143, "comparison_handed_on": 34, "verdict_to_contrast": 33, "field_to_loss": 6}


@pytest.mark.slow
def test_no_trip_gets_longer(tmp_path: Path, computed: Path) -> None:
    found = trips(tmp_path, computed)
    assert found.keys() == MOST.keys()
    for name, modules in found.items():
        assert len(modules) <= MOST[name], f"{name}: {', '.join(modules)}"
        assert modules
