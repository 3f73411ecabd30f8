"""``bench check``: a run held against its gate, and against the baseline where the gate says so."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.config.comparison import BASELINE, Comparison
from bench.core.errors import BenchError, DataError
from bench.gate.against_baseline import evidence_against, refuse_what_differs, what_changed
from bench.gate.criteria import CriterionResult
from bench.gate.decide import Evidence, decide, evidence_between, foregone, refuse_no_gate
from bench.gate.declared import files_of, gate_digest
from bench.gate.finished_run import refuse_missing, stored
from bench.results.baseline import BASELINE_FILE, Baseline
from bench.results.computed_on import other_arithmetic
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.conclusions.contrast import Contrast
from bench.results.lock import LOCK, Lock
from bench.results.records import RECORDS
from bench.results.summary import RunSummary

MOST_CHANGES = 12  # how many changed settings a summary spells out


@dataclass(frozen=True)
class Checked:
    """The results of a gate, and what a reader must know beside them."""

    results: tuple[CriterionResult, ...]
    notes: tuple[str, ...]


def check_comparison(comparison: Comparison, baseline: Path | None = None) -> Checked:
    """Return what the last run of a comparison comes to under its gate; see ``check_run``.

    Raises DataError for a run of other methods or seeds as well.
    """
    refuse_no_gate(comparison)
    _, summary = stored(comparison)
    return check_run(comparison, summary, [task.NAME for task in comparison.evaluation.tasks], baseline)


def check_run(
    comparison: Comparison, summary: RunSummary, asked: Collection[str], baseline: Path | None = None
) -> Checked:  # fmt: skip
    """Return what a run, which the summary is of, comes to under the gate of the comparison beside it.

    ``asked``: the tasks whose prompts are those that were asked, and must all have values. ``baseline`` goes over the
    file that the comparison names. Raises BenchError for a comparison without a gate; DataError for a run that is not
    whole, has lost prompts, or cannot be compared with the baseline, with every reason.
    """
    refuse_no_gate(comparison)
    criteria = comparison.gate
    against = [criterion for criterion in criteria if criterion.against_baseline]
    if baseline is not None and not against:
        raise BenchError(
            f"{comparison.path}: --baseline is given, and no criterion of the gate says `versus: {BASELINE}`. Add one, "
            f"for example {{metric: win_rate, method: dpo, versus: {BASELINE}, not_worse_by: 0.1}}"
        )
    folder = Path(comparison.path).parent
    refuse_missing(folder, summary, "A gate")
    contrasts = CONCLUSIONS.read(folder).contrasts
    refuse_lost_prompts(comparison, contrasts, folder, asked)
    found = evidence_between(comparison, contrasts)
    notes = declared(comparison, folder)
    if against:
        file = baseline or baseline_file(comparison)
        earlier, changes = against_file(comparison, summary, folder, file)
        found = in_order(comparison, [*found, *earlier])
        notes += changes
    notes += dict.fromkeys(words for one in found if (words := foregone(one)) is not None)
    return Checked(tuple(decide(found, comparison.gate_settings.correction)), tuple(notes))


def baseline_file(comparison: Comparison) -> Path:
    """Return the baseline that the comparison names, or the one beside it."""
    named = comparison.gate_settings.baseline
    return BASELINE_FILE.path(Path(comparison.path).parent) if named is None else Path(named)


def against_file(
    comparison: Comparison, summary: RunSummary, folder: Path, file: Path
) -> tuple[list[Evidence], list[str]]:
    """Return what the criteria against a baseline are judged by, and notes on what it is and what has changed."""
    earlier, lock = BASELINE_FILE.read_from(file), LOCK.read(folder)
    refuse_what_differs(earlier, lock, str(file))
    found = evidence_against(comparison, summary, RECORDS.read(folder), earlier)
    seeds = f"seeds {', '.join(map(str, earlier.seeds))} then and {', '.join(map(str, lock.seeds))} now"
    notes = [f"baseline {file.name}: {earlier.reason} ({earlier.code or 'unknown revision'}; {seeds})"]
    notes += other_rounding(lock, earlier)
    changes = what_changed(earlier, summary, lock)
    notes += [f"changed since the baseline: {change}" for change in changes[:MOST_CHANGES]]
    if len(changes) > MOST_CHANGES:
        notes.append(f"and {len(changes) - MOST_CHANGES} further settings")
    return found, notes


def other_rounding(lock: Lock, earlier: Baseline) -> list[str]:
    """Return a note where a run was computed by other kernels or with other threads than its baseline."""
    if lock.computed_on is None or earlier.computed_on is None:
        return []  # of an earlier version, which did not record it
    found = other_arithmetic(lock.computed_on, earlier.computed_on)
    why = "weights differ by rounding, and metrics move by what a training makes of it (docs/reproducibility.md)"
    return [f"computed otherwise than the baseline: {'; '.join(found)}; {why}"] if found else []


def in_order(comparison: Comparison, found: Sequence[Evidence]) -> list[Evidence]:
    """Return the evidence in the order of the file's criteria."""
    place = {id(criterion): number for number, criterion in enumerate(comparison.gate)}
    return sorted(found, key=lambda one: place[id(one.criterion)])


def refuse_lost_prompts(
    comparison: Comparison, contrasts: Sequence[Contrast], folder: Path, asked: Collection[str]
) -> None:  # fmt: skip
    """Raise DataError where one of the tasks ``asked`` has more prompts than the run's contrasts know of."""
    for task in comparison.evaluation.tasks:
        if task.NAME not in asked:
            continue
        there = [item.n_prompts + item.n_missing for item in contrasts if item.task == task.NAME]
        wanted = len(task.prompts())
        if there and max(there) < wanted:
            raise DataError(
                f"{folder}: task {task.NAME} has {wanted} prompts, and the run has values for {max(there)} of them. "
                f"What is left could pass by what is missing. Run `bench run {folder}` again."
            )


def declared(comparison: Comparison, folder: Path) -> list[str]:
    """Return notes where the criteria, or else the file or a plug-in, are not those of when the run began."""
    if not LOCK.path(folder).is_file():
        return []
    lock = LOCK.read(folder)
    if lock.gate != gate_digest(comparison):
        return ["the criteria were changed after the run: they were not declared before the data were seen"]
    changed = [name for name, digest in files_of(comparison).items() if lock.files.get(name, digest) != digest]
    return [f"{name} was changed after the run; what is checked is the run" for name in changed]
