"""How what a run left stands to its comparison as it is now: what differs from what was run, and what is not here.

A difference makes results **stale**: the comparison would be computed otherwise now. That is whatever changes a stage
(a setting, a seed, a method, a task or a judge more or less, the content of a file). The question, the statistics and
the gate's criteria change none: what the statistics change is for ``bench.pipeline.concluded``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.config.comparison import Comparison
from bench.config.document.positions import read_text
from bench.config.document.problems import Place, Problems
from bench.core.errors import DataError
from bench.core.frozen import digest_of_file
from bench.gate.declared import texts_of
from bench.pipeline.recorded_run import RecordedRun, recorded_run
from bench.pipeline.since_the_run import SinceTheRun, other_arms_and_seeds
from bench.results.lock import LOCK, Lock
from bench.results.summary import RunSummary

ASKED_ANEW = ("question", "gate")  # sections that nothing is computed or concluded from


@dataclass(frozen=True)
class Standing:
    """A run, and its comparison as it is now.

    ``comparison``: with what the run recorded in the place of what is not here, and with the methods and seeds of the
    run. ``stale``: what differs from what was run. ``not_compared``: a line for what is not here, and for what could
    not be compared without it. ``asked``: the tasks whose prompts are here and are those that were asked.
    ``concludes``: whether its rows give conclusions again; otherwise ``contrasts.json`` stays as the run left it.
    ``edited``: whether the comparison says something else than when it was run, question and gate left aside.
    """

    comparison: Comparison
    summary: RunSummary
    stale: tuple[str, ...]
    not_compared: tuple[str, ...]
    asked: tuple[str, ...]
    concludes: bool
    edited: bool

    @property
    def folder(self) -> Path:
        """Where the results lie."""
        return Path(self.comparison.path).parent

    @property
    def lines(self) -> tuple[str, ...]:
        """Everything that a reader must know, a line each; nothing where the results are those of the comparison."""
        return (*(f"stale: {item}" for item in self.stale), *self.not_compared)


def standing_of(path: Path, overrides: Sequence[str] = ()) -> Standing:
    """Return how the last run of the comparison at a path stands to it.

    Raises ConfigError for a comparison that cannot be read, and DataError where there is no run beside it, or one whose
    files are not what it wrote.
    """
    run = recorded_run(path, overrides)
    return standing_of_run(run, edited=bool(overrides))


def standing_of_run(run: RecordedRun, *, edited: bool) -> Standing:
    """Return how a run stands to its comparison; ``edited``: it was changed for this reading already."""
    comparison, summary, lock = run.comparison, run.summary, run.lock
    if lock is None:
        return without_lock(run)
    since = SinceTheRun(comparison, summary, lock, run.absent)
    lost = [f"not compared: {name}, which the run wrote, is not here" for name in lock.lost(run.folder)]
    return Standing(
        comparison=run.as_run,
        summary=summary,
        stale=tuple(since.stale()),
        not_compared=(*since.not_compared(), *lost),
        asked=since.asked(),
        concludes=not since.other_members() and not since.lacks_for_conclusions(),
        edited=edited or is_edited(Path(comparison.path), lock) or lock.has_other_conclusions(run.folder),
    )


def is_edited(file: Path, lock: Lock) -> bool:
    """Return whether a comparison file, or one that it extends, is here and says something else than when it was run.

    The question and the gate do not count, nor remarks; where the lock has no text, any change of the file does.
    """
    if not file.is_file():
        return False
    if not lock.texts:
        return lock.files.get(file.name) != digest_of_file(file)
    now = texts_of(file)
    return now.keys() != lock.texts.keys() or any(said(now[name]) != said(lock.texts[name]) for name in now)


def said(text: str) -> Any:
    """Return what the text of a comparison file says, its question and its gate left out."""
    value, _ = read_text(text, Place(None, 0), Problems())
    return {key: item for key, item in value.items() if key not in ASKED_ANEW} if isinstance(value, dict) else value


def refuse_stale(standing: Standing, what: str, instead: str = "") -> None:
    """Raise DataError, naming everything, where the comparison is not what was run.

    ``what``: is not done with such results. ``instead``: what else can be done.
    """
    if standing.stale:
        folder = standing.folder
        raise DataError(
            "\n    ".join([f"{folder}: the results are stale, so {what}", *standing.lines])
            + f"\n  Run `bench run {folder}` again (finished stages are kept){instead}"
        )


def without_lock(run: RecordedRun) -> Standing:
    """Return the standing of a run that left no lock, of which only the methods and seeds are known."""
    stale = tuple(other_arms_and_seeds(run.comparison, run.summary))
    return Standing(
        comparison=run.as_run,
        summary=run.summary,
        stale=stale,
        not_compared=(f"not compared: {LOCK.name} is not here",),
        asked=tuple(task.NAME for task in run.comparison.evaluation.tasks),
        concludes=not stale,
        edited=True,
    )
