"""Results that were handed on: every committed one, alone and elsewhere, by every command that needs no more."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from bench.results.conclusions.all import CONCLUSIONS
from tests.awaiting import AWAITING
from tests.cli.test_cli import ROOT, bench_sketched
from tests.faults.case import Case

TITLE = "results folders alone, elsewhere, by every command that needs no more"
IN_SUITE = 3
RESULTS = sorted({path.parent.name for path in (ROOT / "results").glob("*/lock.json")} - AWAITING)
COMMANDS = {
    "export": ("export", "{folder}"),
    "report": ("report", "{folder}"),
    "show": ("show", "{folder}"),
    "track": ("track", "{folder}", "--to", "tensorboard"),
    "baseline": ("baseline", "{folder}", "--reason", "tried", "--to", "{folder}/kept.json"),
    "check": ("check", "{folder}"),
    "verify": ("verify", "{folder}"),
    "export as LaTeX": ("export", "{folder}", "--format", "latex"),
}


def alone(name: str, command: tuple[str, ...], folder: Path) -> None:
    """Raise AssertionError unless a command does its work on nothing but the files that a run left."""
    target = folder / "far" / "away" / name
    shutil.copytree(ROOT / "results" / name, target, ignore=shutil.ignore_patterns("*.py", "difficulty.csv"))
    before = CONCLUSIONS.path(target).read_bytes()
    if command[0] == "verify":  # what verify makes says what is not here, so what it is held against must
        assert bench_sketched("report", target).returncode == 0
    done = bench_sketched(*(part.format(folder=target) for part in command))
    if command[0] == "check" and "there is no gate to check" in done.stderr:
        return
    assert done.returncode in ((0, 1, 3) if command[0] == "check" else (0,)), done
    assert done.stdout, done
    assert "stale" not in done.stdout + done.stderr, done
    assert CONCLUSIONS.path(target).read_bytes() == before


def cases() -> list[Case]:
    """Return every committed result with every command."""
    return [
        Case(f"{name}, {word}", partial(alone, name, command)) for word, command in COMMANDS.items() for name in RESULTS
    ]
