"""``bench verify``: all that is concluded, computed again from the stored rows and compared with what lies there.

Compared are the conclusions value by value, the report and the pictures byte by byte, and the gate verdict by verdict.
The lock is compared with this checkout: other inputs are a difference, other packages are noted.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.config.comparison import Comparison
from bench.core.errors import BenchError, DataError
from bench.core.frozen import Frozen
from bench.gate.decide import check
from bench.gate.finished_run import stored
from bench.pipeline.conclude import conclude
from bench.pipeline.lock import lock_of
from bench.pipeline.plan import make_plan
from bench.report.page.markdown import PLOTS, write_report
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.identity import changed_settings, differences
from bench.results.lock import LOCK, Lock
from bench.results.records import RECORDS
from bench.results.summary import SUMMARY, RunSummary

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


def verify(comparison: Comparison) -> Verified:
    """Return how what lies beside a comparison differs from what its rows give. Nothing there is changed.

    Raises DataError where there is no run of this comparison.
    """
    folder, summary = stored(comparison)
    differ, notes = list(lost_prompts(comparison, folder)), list[str]()
    with tempfile.TemporaryDirectory() as place:
        again = Path(place) / folder.name
        try:
            compute_again(comparison, summary, folder, again)
            made = made_files(folder, again)
            for name in made:
                differ += compared(folder / name, again / name, name)
            differ += [f"{name}: no input gives this picture" for name in stale_pictures(folder, again)]
            differ += gate_differences(comparison, summary, folder, again)
        except BenchError as error:
            made = []
            differ.append(f"the stored rows give no conclusions: {error}")
    try:
        differ_now, changed = against_lock(LOCK.read(folder), lock_of(make_plan(comparison), summary))
    except DataError as error:
        differ_now, changed = [str(error)], []
    return Verified(files=tuple(made), differences=(*differ, *differ_now), notes=(*notes, *changed))


def compute_again(comparison: Comparison, summary: RunSummary, folder: Path, again: Path) -> None:
    """Write conclusions, report and pictures into ``again``, from copies of the rows in ``folder``."""
    again.mkdir(parents=True)
    for file in (*sorted(folder.glob("*.parquet")), SUMMARY.path(folder)):
        shutil.copyfile(file, again / file.name)
    conclude(comparison, summary, RECORDS.read(again), again)
    write_report(again, comparison)


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
        found = list(leaves_differ(json.loads(old), json.loads(new), ""))
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


def lost_prompts(comparison: Comparison, folder: Path) -> Iterator[str]:
    """Yield the tasks of which the rows lack prompts."""
    records = RECORDS.read(folder)
    names = list(zip(records["task"].to_pylist(), records["prompt"].to_pylist(), strict=True))
    present = set(names)
    for task in comparison.evaluation.tasks:
        lost = [prompt.id for prompt in task.prompts() if (task.NAME, prompt.id) not in present]
        if lost:
            yield f"{RECORDS.name}: {len(lost)} prompts of task {task.NAME} have no row, the first: {lost[0]}"


def gate_differences(comparison: Comparison, summary: RunSummary, folder: Path, again: Path) -> Iterator[str]:
    """Yield the criteria between methods whose verdict from the stored conclusions differs from that made again."""
    if summary.missing or not comparison.gate:
        return
    before = check(comparison, CONCLUSIONS.read(folder).contrasts)
    after = check(comparison, CONCLUSIONS.read(again).contrasts)
    verdicts = {(item.name): item.verdict for item in before}
    for item in after:
        if verdicts.get(item.name) != item.verdict:
            yield f"gate, {item.name}: {verdicts.get(item.name)} there, {item.verdict} made again"


def against_lock(lock: Lock, now: Lock) -> tuple[list[str], list[str]]:
    """Return what the run rested on and is other now: inputs (a difference), and surroundings (a note)."""
    found = [
        f"{what} since the run: {change}"
        for what, new, old in (
            ("a file changed", now.files, lock.files),
            ("data changed", now.data, lock.data),
            ("a model changed", now.models, lock.models),
        )
        for change in changed_settings(new, old)
    ]
    found += [f"since the run: {item}" for item in differences(now.identity, lock.identity)]
    if now.gate != lock.gate:
        found.append("the gate's criteria were changed after the run")
    lost = lock.stages.keys() - now.stages.keys()
    if lost:
        kinds = ", ".join(sorted({lock.stages[key] for key in lost}))
        found.append(f"{len(lost)} of {len(lock.stages)} stages are computed otherwise now ({kinds})")
    changed = changed_settings(
        {"python": now.python, **now.packages, **now.program}, {"python": lock.python, **lock.packages, **lock.program}
    )
    return found, [f"since the run: {change}" for change in changed]
