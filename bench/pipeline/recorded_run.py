"""A run that is over, as it recorded itself: read without its inputs, and without executing code of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.config.comparison import Comparison, Named
from bench.config.document.merged import comparison_file
from bench.config.fields.files_read import FilesThatWereRead, Recorded
from bench.config.fields.named_files import short_names
from bench.config.fields.stand_ins import PluginOnRecord, unknown_digest
from bench.config.load import load_comparison
from bench.core.errors import DataError
from bench.core.frozen import PLUGIN_PREFIX
from bench.core.metrics import RATING, WIN_RATE, MetricInfo
from bench.results.identity import JudgeIdentity, TaskIdentity
from bench.results.lock import LOCK, Lock, PluginUse
from bench.results.summary import SUMMARY, RunSummary
from bench.results.wording import listed

SHA256 = "sha256 "
UNKNOWN = "unknown"  # begins no digest
CODE = ".py"


@dataclass(frozen=True)
class RecordedRun:
    """A run, and its comparison as it is now.

    ``comparison``: with what the run recorded in the place of what is not here, and of code of others. ``lock``: None
    where the run left none. ``absent``: the files that are not here. ``changed``: the files of the run that are here
    and are not what it wrote.
    """

    comparison: Comparison
    summary: RunSummary
    lock: Lock | None
    absent: tuple[Path, ...]
    changed: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where the results lie."""
        return Path(self.comparison.path).parent

    @property
    def as_run(self) -> Comparison:
        """The comparison with the methods and seeds of the run."""
        return as_run(self.comparison, self.summary)


def run_as_found(path: Path, overrides: Sequence[str] = ()) -> RecordedRun:
    """Return the last run of the comparison at a path, be its files what it wrote or not.

    Raises ConfigError for a comparison that cannot be read, and DataError where there is no run beside it.
    """
    folder = comparison_file(path).parent
    if not SUMMARY.path(folder).exists():  # what is wrong with the comparison comes before what it lacks
        load_comparison(path, overrides=overrides, files=FilesThatWereRead(Recorded()))
    summary = SUMMARY.read(folder)
    lock = LOCK.read(folder) if LOCK.path(folder).exists() else None
    files = FilesThatWereRead(Recorded() if lock is None else recorded_in(lock, summary, folder))
    comparison = load_comparison(path, overrides=overrides, files=files)
    return RecordedRun(
        comparison=comparison if lock is None else with_known_digests(comparison, lock),
        summary=summary,
        lock=lock,
        absent=tuple(files.absent),
        changed=() if lock is None else tuple(lock.changed(folder)),
    )


def recorded_run(path: Path, overrides: Sequence[str] = ()) -> RecordedRun:
    """Return the same where its files are what it wrote; raises DataError, naming them, where they are not."""
    found = run_as_found(path, overrides)
    refuse_changed(found.folder, found.changed)
    return found


def refuse_absent(run: RecordedRun, why: str) -> None:
    """Raise DataError where something that the comparison names is not here; ``why`` it is needed."""
    if run.absent:
        names = [short_names(list(run.absent))[place] for place in run.absent]
        raise DataError(f"{run.folder}: {listed(names)} {'is' if len(names) == 1 else 'are'} not here, and {why}.")


def refuse_changed(folder: Path, changed: Sequence[str]) -> None:
    """Raise DataError where files of a run are not what it wrote."""
    if changed:
        raise DataError(
            f"{folder / changed[0]}: not what the run wrote"
            + (f", nor {'is' if len(changed) == 2 else 'are'} {listed(list(changed[1:]))}" if len(changed) > 1 else "")
            + f" ({LOCK.name} has other digests). Run `bench run {folder}` again: finished stages are kept."
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
    metrics = tuple(MetricInfo.model_validate(facts) for facts in summary.metrics.values())
    plugins = on_record(lock) if lock.plugins else of_earlier_version(lock, summary, code)
    texts = {(folder / name).resolve(): text for name, text in lock.texts.items()}
    return Recorded({**code, **models, **data, **lock.read}, plugins, metrics, texts, lock.formats, lock.hub)


def on_record(lock: Lock) -> dict[str, PluginOnRecord]:
    """Return what a lock keeps of code of others, by what it is called."""
    found: dict[str, list[PluginUse]] = {}
    for use in lock.plugins:
        found.setdefault(use.code, []).append(use)
    return {
        code: PluginOnRecord(
            name=uses[0].name,
            metrics=tuple(MetricInfo.model_validate(facts) for facts in uses[0].metrics),
            cites=uses[0].cites,
            seed=next((use.seed for use in uses if use.seed is not None), None),
            settings=tuple(use.settings for use in uses),
            defaults=uses[0].defaults,
            package=uses[0].package,
        )
        for code, uses in found.items()
    }


def of_earlier_version(lock: Lock, summary: RunSummary, code: Mapping[str, str]) -> dict[str, PluginOnRecord]:
    """Return what a lock of an earlier version tells of files with code: the NAME and settings of judges and tasks.

    A NAME that is not there is guessed by the file's.
    """
    metrics = tuple(MetricInfo.model_validate(facts) for facts in summary.metrics.values())
    named: dict[str, TaskIdentity | JudgeIdentity] = {**lock.identity.tasks, **lock.identity.judges}
    found = {}
    for file, digest in code.items():
        of_file = {
            key: one for key, one in named.items() if digest.startswith(str(one.settings.get("source", UNKNOWN)))
        }
        names = [one.judge if isinstance(one, JudgeIdentity) else key for key, one in of_file.items()]
        fields = [one.settings for one in of_file.values()]
        fields += [arm.fields for arm in summary.arms.values() if arm.method == f"{PLUGIN_PREFIX}{digest}"]
        found[file] = PluginOnRecord(
            name=names[0] if names else Path(file).stem,
            metrics=metrics,
            # A text may stand for what the comparison writes otherwise; a number is what is written.
            settings=tuple(
                {name: item for name, item in one.items() if isinstance(item, int | float)} for one in fields
            ),
            is_guessed=True,
        )
    return found


def judges_by_use(comparison: Comparison) -> dict[str, tuple[Named, ...]]:
    """Return the judges that compare and those that rate, by the metric that they give."""
    return {WIN_RATE.name: comparison.evaluation.judges, RATING.name: comparison.evaluation.ratings}


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
    if identity is None or not isinstance(place, str) or digest != unknown_digest(Path(place).name):
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
