"""On what stages were computed, put together from their manifests, held against each other, kept in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.results.baseline import BASELINE_FILE
from bench.results.computed_on import ComputedOn, computed_on, on_processor, other_arithmetic
from bench.results.lock import LOCK

QUICKSTART = Path(__file__).resolve().parents[2] / "results" / "quickstart"
LIGHT = {"processor": "Zen", "threads": "1", "kernels": {"NumPy": "X86_V3"}}
HERE = {"processor": "Zen", "threads": "1", "kernels": {"ATen": "AVX2", "NumPy": "X86_V3"}}
THERE = {"processor": "Xeon", "threads": "4", "kernels": {"ATen": "AVX512", "NumPy": "X86_V4"}}
OLD = {"processor": "Zen", "threads": "1"}


def on(*provenances: dict[str, Any]) -> ComputedOn:
    found = computed_on(provenances)
    assert found is not None
    return found


def portable(one: dict[str, Any]) -> dict[str, Any]:
    return {**one, "kernels": {"ATen": "DEFAULT", "NumPy": "X86_V2"}, "kernels_from": "portable"}


def test_a_stage_that_loads_no_torch_takes_nothing_away() -> None:
    assert on(HERE, LIGHT) == on(HERE)
    assert on(HERE).words() == "ATen AVX2, NumPy X86_V3"


def test_stages_of_several_machines_are_all_told() -> None:
    both = on(HERE, THERE)
    assert (both.processors, both.threads) == (("Xeon", "Zen"), ("1", "4"))
    assert both.words() == "ATen AVX2 and AVX512, NumPy X86_V3 and X86_V4"
    assert other_arithmetic(both, on(HERE)) == [
        "ATen AVX2 then, AVX2 and AVX512 now",
        "NumPy X86_V3 then, X86_V3 and X86_V4 now",
        "processor Zen then, Xeon and Zen now",
        "threads 1 then, 1 and 4 now",
    ]


@pytest.mark.parametrize("odd", [OLD, {**OLD, "kernels": []}, {**OLD, "kernels": "AVX2"}, {}])
def test_what_recorded_no_kernels_gives_none(odd: dict[str, Any]) -> None:
    assert computed_on([odd]) is None
    assert on(HERE, odd).kernels == on(HERE).kernels


def test_a_variable_that_only_one_side_set_counts_and_a_library_that_only_one_loaded_does_not() -> None:
    bounded = {**HERE, "kernels": {**HERE["kernels"], "MKL_CBWR": "COMPATIBLE"}}
    assert other_arithmetic(on(bounded), on(HERE)) == ["MKL_CBWR not set then, COMPATIBLE now"]
    assert other_arithmetic(on(HERE), on(bounded)) == ["MKL_CBWR COMPATIBLE then, not set now"]
    assert on(bounded, HERE).kernels["MKL_CBWR"] == ("COMPATIBLE", "not set")
    assert other_arithmetic(on(LIGHT), on(HERE)) == []


def test_between_portable_runs_the_processor_does_not_count() -> None:
    one, other = on(portable(HERE)), on(portable(THERE))
    assert other_arithmetic(one, other) == []
    assert other_arithmetic(one, on(HERE)) == ["kernels chosen by the processor then, by --portable now"]
    assert other_arithmetic(on(HERE), one) == ["kernels chosen by --portable then, by the processor now"]
    assert "the same on every processor" in one.words()


def test_of_an_earlier_lock_the_processor_is_known() -> None:
    assert other_arithmetic(on_processor(THERE), on_processor(OLD)) == ["processor Zen then, Xeon now"]
    assert other_arithmetic(on_processor(THERE), on_processor({})) == []


@pytest.mark.parametrize("file", [LOCK, BASELINE_FILE], ids=lambda file: file.name)
def test_a_file_holds_it_where_it_is_known_and_not_where_it_is_not(file: Any, tmp_path: Path) -> None:
    earlier = file.read(QUICKSTART)
    assert earlier.computed_on is None or earlier.computed_on.kernels
    bare = earlier.model_copy(update={"computed_on": None})
    file.write(bare, tmp_path)
    assert "computed_on" not in file.path(tmp_path).read_text()
    assert file.read(tmp_path) == bare
    file.write(bare.model_copy(update={"computed_on": on(HERE, THERE)}), tmp_path)
    assert file.read(tmp_path).computed_on == on(HERE, THERE)
