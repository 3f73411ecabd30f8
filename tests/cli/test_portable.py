"""A run with portable kernels begins in a process of its own; check and verify say who computed otherwise."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from bench.config.load import load_comparison
from bench.engine.kernels import PORTABLE
from bench.engine.last_store import store_of_last_run
from bench.gate.check import other_rounding
from bench.pipeline.verify import computed_elsewhere
from bench.results.baseline import BASELINE_FILE
from bench.results.computed_on import ComputedOn
from bench.results.lock import LOCK
from tests.cli.test_cli import bench

AGAINST_BASELINE = "gate=[{metric: win_rate, method: dpo, versus: baseline, judge: lexicon, not_worse_by: 0.9}]"
SIDE = ComputedOn(processors=("Zen",), kernels={"ATen": ("AVX512",), "NumPy": ("X86_V4",)}, threads=("1",))
PORTABLE_SIDE = SIDE.model_copy(update={"kernels_from": "portable"})


class StartedAnew(BaseException):
    """In the place of the process that would have gone on."""


@pytest.fixture(scope="module")
def ran(computed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished comparison that may be written into."""
    root = Path(shutil.copytree(computed, tmp_path_factory.mktemp("portable") / "copy"))
    return root / "results" / "whole"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """What was started in this process's place."""
    found = []

    def execve(_program: str, line: list[str], env: dict[str, str]) -> None:
        found.append((line, env))
        raise StartedAnew

    monkeypatch.setattr(os, "execve", execve)
    return found


def test_it_starts_anew_with_the_same_line_where_kernels_would_be_others(
    ran: Path, started: list[tuple[list[str], dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx512")
    line = ["--debug", "run", str(ran), "--portable", "--set", "given.seeds=[0]", "--workers", "1"]
    with pytest.raises(StartedAnew):
        bench(*line)
    ((command, env),) = started
    assert command == [sys.executable, "-m", "bench.cli", *line]
    assert {name: env[name] for name in PORTABLE} == dict(PORTABLE)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert (
        "no such comparison" in bench("run", ran.parent / "nothing", "--portable").stderr
    )  # went on, to look for the file
    assert len(started) == 1


@pytest.mark.parametrize("line", [("--processes", "2"), ("--processes", "2", "--engine", "sharded")])
def test_processes_that_add_in_another_order_are_refused(ran: Path, line: tuple[str, ...]) -> None:
    done = bench("run", ran, "--portable", *line)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "leave --processes away" in done.stderr


def test_a_run_records_on_what_it_was_computed(ran: Path) -> None:
    on = LOCK.read(ran).computed_on
    assert on is not None
    assert on.threads == ("1",)
    assert on.kernels.keys() >= {"ATen", "NumPy"}
    assert f"Kernels: {on.words()}" in (ran / "report.md").read_text(encoding="utf-8")
    assert store_of_last_run(load_comparison(ran)).root == ran.parent / ".store"


def with_lock_of(on: ComputedOn | None, ran: Path, name: str) -> Path:
    """Return a copy whose lock says that it was computed otherwise."""
    place = Path(shutil.copytree(ran, ran.parent / name))
    LOCK.write(LOCK.read(place).model_copy(update={"computed_on": on}), place)
    return place


def test_a_check_against_a_baseline_says_in_one_line_what_was_computed_otherwise(ran: Path) -> None:
    place = Path(shutil.copytree(ran, ran.parent / "kept"))
    assert bench("baseline", place, "--reason", "first").returncode == 0
    lock, kept = LOCK.read(place), BASELINE_FILE.read(place)
    assert lock.computed_on is not None
    assert kept.computed_on == lock.computed_on
    assert other_rounding(lock, kept) == []
    assert other_rounding(lock.model_copy(update={"computed_on": None}), kept) == []
    assert other_rounding(lock, kept.model_copy(update={"computed_on": None})) == []
    other = bench("check", with_lock_of(SIDE, place, "other"), "--set", AGAINST_BASELINE).stdout
    (line,) = [line for line in other.splitlines() if "computed otherwise" in line]
    assert line.startswith("- computed otherwise than the baseline: ATen ")
    assert "AVX512 now; " in line
    (line,) = other_rounding(lock.model_copy(update={"computed_on": PORTABLE_SIDE}), kept)
    assert "kernels chosen by the processor then, by --portable now;" in line


def test_verify_says_in_one_line_that_rows_were_computed_elsewhere(ran: Path) -> None:
    lock = LOCK.read(ran)
    assert computed_elsewhere(lock) == []
    (line,) = computed_elsewhere(lock.model_copy(update={"computed_on": SIDE}))
    assert line.startswith("computed elsewhere: ")
    assert "processor Zen then" in line
    early = lock.model_copy(update={"computed_on": None})
    assert computed_elsewhere(early) == []
    (line,) = computed_elsewhere(early.model_copy(update={"hardware": {"processor": "Zen"}}))
    assert line.startswith("computed elsewhere: processor Zen then, ")


def test_what_was_computed_portably_is_looked_for_in_its_part_of_the_store(ran: Path, tmp_path: Path) -> None:
    place = with_lock_of(PORTABLE_SIDE, ran, "exported")
    part = ran.parent / ".store" / ".portable"
    assert store_of_last_run(load_comparison(place)).root == part
    done = bench("export", place, "dpo", "--seed", "0", "--to", tmp_path / "model")
    assert done.returncode == 2
    assert f"is not in the store {part}" in done.stderr
