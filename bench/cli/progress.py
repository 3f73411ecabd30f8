"""What a person sees while a comparison runs: stages done, tokens per second, time left."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from statistics import median
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench.core.stage import Progress as StageProgress
from bench.core.stage import Stage
from bench.results.unseen import visible

SECONDS_BETWEEN_PLAIN_LINES = 10.0


class Clock:
    """Estimates the time left: a stage takes the median of its kind in this run, or in earlier ones (``known``).

    A kind that nobody has seen takes the median over the kinds that were. A running stage has what it ran so far less.
    """

    def __init__(self, slots: int, known: Mapping[str, float]) -> None:
        self._slots = slots
        self._known = dict(known)
        self._began: dict[str, float] = {}
        self._seconds: dict[str, list[float]] = defaultdict(list)

    def started(self, key: str) -> None:
        """Note that a stage begins."""
        self._began[key] = time.monotonic()

    def ended(self, stage: Stage) -> float:
        """Return how many seconds the stage took here."""
        took = time.monotonic() - self._began.pop(stage.key)
        self._seconds[stage.KIND].append(took)
        return took

    def running_for(self, key: str) -> float:
        """Return for how many seconds a stage has been running."""
        return time.monotonic() - self._began[key]

    def seconds_left(self, waiting: Mapping[str, Stage]) -> float | None:
        """Return the seconds left for the stages not finished yet, running ones included; None with nothing to go by.

        No less than the longest single stage still takes, however many slots there are.
        """
        typical = self._known | {kind: median(values) for kind, values in self._seconds.items()}
        if not typical:
            return None
        unseen = median(typical.values())
        rest = [
            max(0.0, typical.get(stage.KIND, unseen) - (self.running_for(key) if key in self._began else 0.0))
            for key, stage in waiting.items()
        ]
        return max(sum(rest) / self._slots, max(rest, default=0.0))


class LiveWatcher:
    """Progress bars on a terminal: one for all stages, one for each running stage."""

    def __init__(
        self, console: Console, labels: Mapping[str, str], slots: int, known: Mapping[str, float] | None = None
    ) -> None:
        self._console = console
        # Spelt out here, because a bar's text loses characters of control before the console sees it.
        self._labels = {key: visible(label) for key, label in labels.items()}
        self._clock = Clock(slots, known or {})
        self._waiting: dict[str, Stage] = {}
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._all = self._progress.add_task("stages", total=None, note="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def planned(self, waiting: Mapping[str, Stage], found: int) -> None:
        """Show how much is done already."""
        self._waiting = dict(waiting)
        if found:
            self._console.print(f"{found} of {found + len(waiting)} stages found in the store")
        self._progress.update(self._all, total=found + len(waiting), completed=found)

    def started(self, stage: Stage, slot: int) -> None:
        """Add a bar for the stage."""
        self._clock.started(stage.key)
        self._bars[stage.key] = self._progress.add_task(f"  {self._labels[stage.key]}", total=None, note="")

    def progressed(self, stage: Stage, progress: StageProgress) -> None:
        """Move the stage's bar; show its speed and its own time left."""
        seconds = max(self._clock.running_for(stage.key), 1e-6)
        speed = f"{progress.tokens / seconds:,.0f} tokens/s" if progress.tokens else progress.unit
        note = visible(", ".join([speed, *_note_and_time_left(progress, seconds)]))
        self._progress.update(self._bars[stage.key], total=progress.total, completed=progress.done, note=note)

    def ended(self, stage: Stage, failure: str | None) -> None:
        """Replace the stage's bar by a line."""
        took = self._clock.ended(stage)
        self._waiting.pop(stage.key, None)
        self._progress.remove_task(self._bars.pop(stage.key))
        self._progress.advance(self._all)
        if failure is None:
            self._print("[green]done[/]   ", f"{self._labels[stage.key]} in {duration(took)}")
        else:
            self._print("[red]failed[/] ", f"{self._labels[stage.key]}: {failure}")
        self.ticked()

    def warned(self, text: str) -> None:
        """Print a warning."""
        self._print("[yellow]warning[/] ", text)

    def ticked(self) -> None:
        """Refresh the time left."""
        left = self._clock.seconds_left(self._waiting)
        self._progress.update(self._all, note="" if left is None else f"about {duration(left)} left")

    def _print(self, mark: str, text: str) -> None:
        """Print a line: a mark of ours with its style, and a text of whomever without any."""
        self._console.print(mark, end="")
        self._console.print(text, markup=False, highlight=False)


class PlainWatcher:
    """Lines for a log file: one when a stage ends, and now and then one about a running stage."""

    def __init__(
        self, console: Console, labels: Mapping[str, str], slots: int, known: Mapping[str, float] | None = None
    ) -> None:
        self._console = console
        self._labels = labels
        self._clock = Clock(slots, known or {})
        self._waiting: dict[str, Stage] = {}
        self._total = 0
        self._spoke_at: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def planned(self, waiting: Mapping[str, Stage], found: int) -> None:
        """Say how much is done already."""
        self._waiting = dict(waiting)
        self._total = found + len(waiting)
        self._print(f"{self._total} stages, {found} found in the store")

    def started(self, stage: Stage, slot: int) -> None:
        """Note the time."""
        self._clock.started(stage.key)
        self._spoke_at[stage.key] = time.monotonic()

    def progressed(self, stage: Stage, progress: StageProgress) -> None:
        """Say how far a stage has come, every ten seconds."""
        if time.monotonic() - self._spoke_at[stage.key] < SECONDS_BETWEEN_PLAIN_LINES:
            return
        self._spoke_at[stage.key] = time.monotonic()
        seconds = max(self._clock.running_for(stage.key), 1e-6)
        speed = [f"{progress.tokens / seconds:,.0f} tokens/s"] if progress.tokens else []
        pace = ", ".join(
            [f"{progress.unit} {progress.done} of {progress.total}", *speed, *_note_and_time_left(progress, seconds)]
        )
        self._print(f"  {self._labels[stage.key]}: {pace}")

    def ended(self, stage: Stage, failure: str | None) -> None:
        """Say how a stage ended and how much is left."""
        took = self._clock.ended(stage)
        self._waiting.pop(stage.key, None)
        left = self._clock.seconds_left(self._waiting)
        place = f"[{self._total - len(self._waiting)}/{self._total}]"
        if failure is None:
            rest = "" if left is None else f", about {duration(left)} left"
            self._print(f"{place} {self._labels[stage.key]} in {duration(took)}{rest}")
        else:
            self._print(f"{place} {self._labels[stage.key]} FAILED: {failure}")

    def warned(self, text: str) -> None:
        """Say a warning."""
        self._print(f"warning: {text}")

    def ticked(self) -> None:
        """Nothing to refresh on a log."""

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """Return a duration as people say it: ``4.2 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def _note_and_time_left(progress: StageProgress, seconds: float) -> list[str]:
    """Return the stage's own note, and about how long it still takes once something is done."""
    found = [progress.note] if progress.note else []
    if progress.done:
        found.append(f"about {duration(seconds / progress.done * (progress.total - progress.done))} left")
    return found
