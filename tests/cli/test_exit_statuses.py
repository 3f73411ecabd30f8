"""What the exit status of a command says: one table, in every help, kept by what goes wrong in any way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from bench.cli.app import app, main
from bench.cli.exit_statuses import CRASHED, FAILED, INCONCLUSIVE, STATUSES, WRONG_INPUT
from bench.gate.decide import EXIT_CODES
from tests.cli.test_cli import ROOT, bench
from tests.cli.test_code_of_others import commands_of

# A criterion that a tiny run is too small to decide.
UNDECIDED = "gate=[{metric: win_rate, method: dpo, versus: sft, judge: lexicon, superior_by: 0.1}]"


@pytest.mark.parametrize("command", ["", *commands_of(typer.main.get_command(app))])
def test_every_help_has_the_table(command: str) -> None:
    told = " ".join(bench(*command.split(), "--help").stdout.replace("│", " ").split())
    for status, meaning in STATUSES.items():
        assert f"{status} {meaning}" in told


def test_the_page_has_the_table() -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    for status, meaning in STATUSES.items():
        assert f"| {status} | {meaning}" in page


def test_a_gate_ends_with_the_statuses_of_the_table() -> None:
    assert EXIT_CODES == {"pass": 0, "regression": FAILED, "undecided": INCONCLUSIVE}


@pytest.mark.parametrize("arguments", [("nothing",), ("report",), ("run", "x", "--workers", "none"), ("show", "--no")])
def test_wrong_usage_is_wrong_input(arguments: tuple[str, ...]) -> None:
    assert bench(*arguments).returncode == WRONG_INPUT


def test_a_crash_is_one_line_and_a_traceback_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_anything: object) -> None:
        raise KeyError("a key\nwith two lines")

    monkeypatch.setattr("bench.cli.doctor.examined", crash)
    done = bench("doctor")
    assert (done.returncode, done.stdout) == (CRASHED, "")
    assert done.stderr.count("\n") == 1
    assert "this program crashed: KeyError: 'a key\\nwith two lines' (" in done.stderr
    assert "bench --debug" in done.stderr
    done = bench("--debug", "doctor")
    assert done.returncode == CRASHED
    assert "Traceback (most recent call last)" in done.stderr


def test_an_error_of_ours_keeps_its_status_with_its_traceback(tmp_path: Path) -> None:
    assert bench("report", tmp_path).returncode == WRONG_INPUT
    done = bench("--debug", "report", tmp_path)
    assert done.returncode == WRONG_INPUT
    assert "Traceback (most recent call last)" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status"), [(("check", "results/whole", "--set", UNDECIDED), INCONCLUSIVE), (("schema",), 0)]
)
def test_a_reader_that_wants_no_more_changes_no_status(arguments: tuple[str, ...], status: int, computed: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        line = [sys.executable, "-m", "bench.cli", *arguments]
        surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
        surroundings.pop("PYTHONUNBUFFERED", None)
        done = subprocess.run(line, stdout=writing, stderr=subprocess.PIPE, cwd=computed, env=surroundings, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (status, b"")


def test_a_path_without_anything_is_told_as_such(tmp_path: Path) -> None:
    done = bench("check", tmp_path / "nothing")
    assert done.returncode == WRONG_INPUT
    assert "no such comparison file" in done.stderr


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
def test_a_stream_that_was_closed_before_the_start_is_no_crash(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, name, None)
    with pytest.raises(SystemExit) as done:
        main(["methods"])
    assert done.value.code == 0
    with pytest.raises(SystemExit) as refused:
        main(["methods", "nonesuch"])
    assert refused.value.code == 2
