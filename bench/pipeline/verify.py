"""``bench verify``: all that is concluded, computed again from the stored rows and compared with what lies there.

Compared are the conclusions value by value, the report and the pictures byte by byte, and the gate verdict by verdict.
The comparison and its files are held against what the run recorded: what is stale is a difference, what is not here
and other packages are noted.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.core.errors import BenchError, DataError
from bench.core.frozen import Frozen
from bench.engine.provenance import provenance
from bench.gate.decide import check
from bench.gate.declared import gate_digest
from bench.pipeline.lock import PROGRAM, installed
from bench.pipeline.recorded_run import run_as_found
from bench.pipeline.report_again import report_again
from bench.pipeline.standing import Standing, standing_of_run
from bench.report.page.markdown import PLOTS
from bench.results.computed_on import THREADS, computed_on, on_processor, other_arithmetic
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.identity import changed_settings
from bench.results.lock import LOCK, Lock
from bench.results.records import RECORDS
from bench.results.strict_json import parsed
from bench.results.summary import SUMMARY
from bench.results.wording import markdown

# Two machines' arithmetic may differ in the last digits; this is far below any digit that is printed.
RELATIVE = 1e-9
SHOWN = 5  # differences of one file that are spelled out


class Verified(Frozen):
    """What was compared: the files made again, what differs, and what else changed since the run."""

    files: tuple[str, ...]
    differences: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    def lines(self) -> list[str]:
        """Return the findings in sentences."""
        lines = [f"differs: {item}" for item in self.differences] + [f"note: {item}" for item in self.notes]
        end = "as they lie there" if self.same else "and something differs"
        return [*lines, f"{len(self.files)} files computed again from the stored rows, {end}."]


def verify(path: Path, overrides: Sequence[str] = ()) -> Verified:
    """Return how what lies beside a comparison differs from what its rows give. Nothing there is changed.

    Raises ConfigError and DataError for a comparison or a run that cannot be read.
    """
    run = run_as_found(path, overrides)
    standing = standing_of_run(run, edited=bool(overrides))
    folder = standing.folder
    differ, notes = list(lost_prompts(standing)), list(standing.not_compared)
    differ += [f"{name}: not what the run wrote ({LOCK.name} has another digest)" for name in run.changed]
    with tempfile.TemporaryDirectory() as place:
        again = Path(place) / folder.name
        try:
            compute_again(standing, again)
            made = made_files(folder, again)
            for name in made:
                differ += compared(folder / name, again / name, name)
            differ += [f"{name}: no input gives this picture" for name in stale_pictures(folder, again)]
            differ += gate_differences(standing, again)
        except BenchError as error:
            made = []
            differ.append(f"the stored rows give no conclusions: {error}")
    differ += [f"stale: {item}" for item in standing.stale]
    try:
        lock = LOCK.read(folder)
    except DataError as error:
        differ.append(str(error))
    else:
        if lock.gate != gate_digest(standing.comparison):
            differ.append("the gate's criteria were changed after the run")
        notes += [f"since the run: {change}" for change in other_surroundings(lock)]
        notes += computed_elsewhere(lock)
    return Verified(files=tuple(made), differences=tuple(differ), notes=tuple(notes))


def compute_again(standing: Standing, again: Path) -> None:
    """Write conclusions, report and pictures into ``again``, from copies of the run's rows.

    A report that was written while the results were the comparison's says nothing of how they stand, and is no other
    one because they are stale now: that is told by itself.
    """
    again.mkdir(parents=True)
    kept = () if standing.concludes else (CONCLUSIONS.path(standing.folder),)
    for file in (*sorted(standing.folder.glob("*.parquet")), SUMMARY.path(standing.folder), *kept):
        shutil.copyfile(file, again / file.name)
    report = standing.folder / "report.md"
    text = report.read_text(encoding="utf-8") if report.is_file() else ""
    told = standing.lines if any(markdown(line) in text for line in standing.lines) else ()
    report_again(standing, again, told)


def made_files(folder: Path, again: Path) -> list[str]:
    """Return the files that were computed again, by relative name."""
    found = (path.relative_to(again) for path in sorted(again.rglob("*")) if path.is_file())
    return [str(name) for name in found if name.suffix != ".parquet" and name.name != SUMMARY.name]


def stale_pictures(folder: Path, again: Path) -> list[str]:
    """Return the pictures in the folder that were not drawn again."""
    drawn = {path.name for path in (again / PLOTS).glob("*")}
    return [f"{PLOTS}/{path.name}" for path in sorted((folder / PLOTS).glob("*")) if path.name not in drawn]


def compared(there: Path, again: Path, name: str) -> list[str]:
    """Return how a file differs from the one made again; JSON is compared by value, everything else by its bytes."""
    if not there.is_file():
        return [f"{name}: is missing"]
    old, new = there.read_bytes(), again.read_bytes()
    if old == new:
        return []
    if again.suffix == ".json":
        return values_differ(old, new, name)
    try:
        return [f"{name}, {first_line(old.decode(), new.decode())}"]
    except UnicodeDecodeError:
        return [f"{name}: {len(old):,} bytes there, {len(new):,} made again, not the same"]


def values_differ(old: bytes, new: bytes, name: str) -> list[str]:
    """Return the places at which two JSON texts have other values, the first few; rounding is none."""
    try:
        found = list(leaves_differ(parsed(old.decode()), json.loads(new), ""))
    except ValueError as error:
        return [f"{name}: not JSON ({error})"]
    more = [f"{name}: and {len(found) - SHOWN} further values"] if len(found) > SHOWN else []
    return [f"{name}, {item}" for item in found[:SHOWN]] + more


def leaves_differ(old: Any, new: Any, where: str) -> Iterator[str]:
    """Yield the places at which two JSON values differ by more than rounding."""
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        for key in old:
            yield from leaves_differ(old[key], new[key], f"{where}.{key}" if where else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from leaves_differ(one, other, f"{where}[{place}]")
    elif isinstance(old, float) and isinstance(new, float):
        if abs(old - new) > RELATIVE * max(abs(old), abs(new), RELATIVE):
            yield f"{where}: {old!r} there, {new!r} made again"
    elif old != new:
        yield f"{where}: {short(old)} there, {short(new)} made again"


def first_line(old: str, new: str) -> str:
    """Return the first line at which two texts differ."""
    ours, theirs = old.split("\n"), new.split("\n")
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False), start=1):
        if one != other:
            return f"line {number}: {short(one)} there, {short(other)} made again"
    return f"{len(ours)} lines there, {len(theirs)} made again"


def short(value: Any) -> str:
    """Return a value in at most 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def lost_prompts(standing: Standing) -> Iterator[str]:
    """Yield the tasks of which the rows lack prompts, of those whose prompts are here and were asked."""
    records = RECORDS.read(standing.folder)
    names = list(zip(records["task"].to_pylist(), records["prompt"].to_pylist(), strict=True))
    present = set(names)
    for task in standing.comparison.evaluation.tasks:
        asked = task.prompts() if task.NAME in standing.asked else ()
        lost = [prompt.id for prompt in asked if (task.NAME, prompt.id) not in present]
        if lost:
            yield f"{RECORDS.name}: {len(lost)} prompts of task {task.NAME} have no row, the first: {lost[0]}"


def gate_differences(standing: Standing, again: Path) -> Iterator[str]:
    """Yield the criteria between methods whose verdict from the stored conclusions differs from that made again."""
    comparison = standing.comparison
    if standing.summary.missing or not comparison.gate:
        return
    before = check(comparison, CONCLUSIONS.read(standing.folder).contrasts)
    after = check(comparison, CONCLUSIONS.read(again).contrasts)
    verdicts = {(item.name): item.verdict for item in before}
    for item in after:
        if verdicts.get(item.name) != item.verdict:
            yield f"gate, {item.name}: {verdicts.get(item.name)} there, {item.verdict} made again"


def other_surroundings(lock: Lock) -> list[str]:
    """Return which versions of Python, packages and this program are others now than they were for the run."""
    known, here = installed(), provenance()
    program = {"version": known.pop(PROGRAM, None), "revision": here["revision"]}
    then = {"python": lock.python, **lock.packages, **lock.program}
    return changed_settings({"python": str(here["python"]), **known, **program}, then)


def computed_elsewhere(lock: Lock) -> list[str]:
    """Return a note where a run was computed by another processor or other kernels than these statistics are.

    Threads are not told: what is computed again here is statistics, in one process. A lock of an earlier version
    knows the processor on which its run ended.
    """
    known = {**provenance(), THREADS: None}
    if lock.computed_on is None:
        found = other_arithmetic(on_processor(known), on_processor(lock.hardware))
    else:
        here = computed_on([known])
        found = [] if here is None else other_arithmetic(here, lock.computed_on)
    return [f"computed elsewhere: {'; '.join(found)} (docs/reproducibility.md)"] if found else []
