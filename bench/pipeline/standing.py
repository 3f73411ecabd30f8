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

from bench.config.comparison import Comparison, Named
from bench.config.document.merged import comparison_file
from bench.config.document.positions import read_text
from bench.config.document.problems import Place, Problems
from bench.config.fields.files_read import FilesThatWereRead, Recorded, unknown_digest
from bench.config.load import load_comparison
from bench.core.errors import DataError
from bench.core.frozen import digest_of_file
from bench.gate.declared import texts_of
from bench.pipeline.since_the_run import CODE, SinceTheRun, judges_by_use, other_arms_and_seeds
from bench.results.identity import JudgeIdentity, TaskIdentity
from bench.results.lock import LOCK, Lock
from bench.results.summary import SUMMARY, RunSummary

SHA256 = "sha256 "
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

    Raises ConfigError for a comparison that cannot be read, and DataError where there is no run beside it.
    """
    folder = comparison_file(path).parent
    if not LOCK.path(folder).is_file():
        return without_lock(load_comparison(path, overrides=overrides))
    lock, summary = LOCK.read(folder), SUMMARY.read(folder)
    files = FilesThatWereRead(recorded_in(lock, summary, folder))
    comparison = with_known_digests(load_comparison(path, overrides=overrides, files=files), lock)
    since = SinceTheRun(comparison, summary, lock, tuple(files.absent))
    return Standing(
        comparison=as_run(comparison, summary),
        summary=summary,
        stale=tuple(since.stale()),
        not_compared=tuple(since.not_compared()),
        asked=since.asked(),
        concludes=not since.other_members() and not since.lacks_for_conclusions(),
        edited=bool(overrides) or is_edited(Path(comparison.path), lock),
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


def refuse_stale(standing: Standing) -> None:
    """Raise DataError, naming everything, where the comparison is not what was run."""
    if standing.stale:
        folder = standing.folder
        raise DataError(
            "\n    ".join([f"{folder}: the results are stale, so nothing is held against the gate", *standing.lines])
            + f"\n  Run `bench run {folder}` again (finished stages are kept), or check what was run: --stale-ok"
        )


def without_lock(comparison: Comparison) -> Standing:
    """Return the standing of a run that left no lock, of which only the methods and seeds are known.

    Raises DataError where there is no run.
    """
    summary = SUMMARY.read(Path(comparison.path).parent)
    stale = tuple(other_arms_and_seeds(comparison, summary))
    return Standing(
        comparison=as_run(comparison, summary),
        summary=summary,
        stale=stale,
        not_compared=(f"not compared: {LOCK.name} is not here",),
        asked=tuple(task.NAME for task in comparison.evaluation.tasks),
        concludes=not stale,
        edited=True,
    )


def recorded_in(lock: Lock, summary: RunSummary, folder: Path) -> Recorded:
    """Return what a run has recorded of its files; a lock of an earlier version names only some of them."""
    data = {
        summary.data[role].partition(f", {SHA256}")[0]: known.removeprefix(SHA256)
        for role, known in lock.data.items()
        if known.startswith(SHA256) and role in summary.data
    }
    models = {name: known.removeprefix(SHA256) for name, known in lock.models.items() if known.startswith(SHA256)}
    code = {name: known for name, known in lock.files.items() if name.endswith(CODE)}
    named: dict[str, TaskIdentity | JudgeIdentity] = {**lock.identity.tasks, **lock.identity.judges}
    names: dict[str, str] = {}
    for key, identity in named.items():
        source = identity.settings.get("source")
        called = identity.judge if isinstance(identity, JudgeIdentity) else key
        names |= {file: called for file, known in code.items() if source is not None and known.startswith(source)}
    texts = {(folder / name).resolve(): text for name, text in lock.texts.items()}
    return Recorded({**code, **models, **data, **lock.read}, names, texts)


def with_known_digests(comparison: Comparison, lock: Lock) -> Comparison:
    """Return the comparison with the digests of absent files that a lock keeps with a task's or a judge's settings."""
    identity, evaluation = lock.identity, comparison.evaluation
    judges = {
        use: tuple(
            Named(label=named.label, judge=with_digest(named.judge, identity.judges.get(f"{use}:{named.label}")))
            for named in all_of
        )
        for use, all_of in judges_by_use(comparison).items()
    }
    tasks = tuple(with_digest(task, identity.tasks.get(task.NAME)) for task in evaluation.tasks)
    compare, rate = judges.values()
    asked = {"tasks": tasks, "judges": compare, "ratings": rate}
    return comparison.model_copy(update={"evaluation": evaluation.model_copy(update=asked)})


def with_digest(value: Any, identity: TaskIdentity | JudgeIdentity | None) -> Any:
    """Return a task or judge with the digest that its identity has, where its own file is not here and has none."""
    place, digest = getattr(value, "path", None), getattr(value, "digest", None)
    if identity is None or not isinstance(place, str) or digest != unknown_digest(Path(place)):
        return value
    known = identity.settings.get("digest")
    return value.model_copy(update={"digest": known}) if isinstance(known, str) else value


def as_run(comparison: Comparison, summary: RunSummary) -> Comparison:
    """Return the comparison with the seeds of a run, and with those of its methods that the run had.

    Of the pairs and gaps those are left out that name another method. The gate is whole: a criterion that nothing
    answers must be told.
    """
    ran, evaluation = summary.arms.keys(), comparison.evaluation
    asked = {
        "contrasts": tuple(pair for pair in evaluation.contrasts if ran >= set(pair)),
        "gap_closed": tuple(gap for gap in evaluation.gap_closed if ran >= {gap.of, gap.start, gap.goal}),
    }
    return comparison.model_copy(
        update={
            "given": comparison.given.model_copy(update={"seeds": summary.seeds}),
            "arms": tuple(arm for arm in comparison.arms if arm.name in ran),
            "evaluation": evaluation.model_copy(update=asked),
        }
    )
