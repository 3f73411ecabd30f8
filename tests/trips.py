"""Three trips of a value through the code, each as the distinct modules it enters: ``python -m tests.trips``.

Counted with ``sys.setprofile``: modules of ``bench``, ``methods`` and ``tasks``, in the order of the first call of a
function of theirs. What runs while a module is imported is no trip, so each trip is made once before it is counted. The
comparison is the one of ``tests.whole``, in this process, with empty pictures.

``comparison_to_number``: a comparison's path through ``bench run``. From the call of ``run`` to the call of
``write_report``, before which contrasts.json has been written. Every stage is in the store, so nothing is trained.
Every module that is entered counts.

``comparison_handed_on``: the same stretch; a module counts only where a function is handed the path, the Comparison
that was read from it, or its Plan, as an argument of its own.

``verdict_to_contrast``: from a judge stage's payload to the Contrast. What is entered while the win rate's ``rows``
are read and ``filled``, and while ``compute_contrasts`` makes contrasts of the records; writing and reading tables and
whatever else is concluded in between does not count.

``field_to_loss``: ``beta`` of DPO. The modules that stand between: those of the calls that are open when
``DPO.policy()`` makes the training stage, and when the stage's ``run`` first computes ``dpo_loss``. What is called on
the way and has returned (loading, tokenising, batching) does not count.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, FunctionType, SimpleNamespace
from typing import Any

import pytest
import typer

from bench.cli.run import run
from bench.config.comparison import Comparison
from bench.core.method import Given
from bench.core.policy import Tuned
from bench.evaluation.measurement import filled
from bench.evaluation.measurements.win_rate import WinRate
from bench.pipeline.plan import Plan
from bench.report.page.markdown import write_report
from bench.statistics.contrasts.contrasts import compute_contrasts
from methods.dpo import DPO, TrainDPO, dpo_loss
from tests.methods.tiny import PREFERENCES, Bench, data, pretrained
from tests.once import take_stages
from tests.sketched import sketched
from tests.whole import write_whole

OURS = {"bench", "methods", "tasks"}
Action = Callable[[], object]
Sees = Callable[[FrameType], None]


def trips(root: Path, computed: Path | None = None) -> dict[str, list[str]]:
    """Return the modules of every trip, by its name; ``root`` is an empty folder.

    ``computed`` is the root of the same comparison, where it has been run: its stages are not computed again.
    """
    folder = write_whole(root / "whole")
    if computed is not None:
        take_stages(computed, root / "whole")

    context: Any = SimpleNamespace(find_root=lambda: SimpleNamespace(obj=[]))

    def compare() -> None:
        with sketched(), contextlib.redirect_stdout(io.StringIO()), pytest.raises(typer.Exit) as ended:
            run(context, folder, engine="inline", workers=None)
        assert ended.value.exit_code == 0

    compare()
    through = {
        "comparison_to_number": Entered(during=[run], before=write_report),
        "comparison_handed_on": Entered(during=[run], before=write_report, handed=path_of(folder)),
        "verdict_to_contrast": Entered(during=[WinRate.rows, filled, compute_contrasts]),
    }

    def see(frame: FrameType) -> None:
        for trip in through.values():
            trip.see(frame)

    profiled(compare, see)
    found = {name: list(trip.found) for name, trip in through.items()}
    return {**found, "field_to_loss": field_to_loss(root / "field")}


def path_of(folder: Path) -> Callable[[object], bool]:
    """Return the test of a value for being the comparison in that folder: its path, the Comparison or the Plan."""
    names = {str(folder), str(folder / "comparison.yaml")}

    def held(value: object) -> bool:
        return isinstance(value, Comparison | Plan) or (isinstance(value, str | Path) and str(value) in names)

    return held


def field_to_loss(root: Path) -> list[str]:
    """Return the modules between ``DPO.policy()``, its stage, and ``dpo_loss``."""
    root.mkdir()
    given = Given(base=pretrained(root / "model"), preferences=data(root / "pairs.jsonl", PREFERENCES), seed=0)
    method = DPO(beta=0.25, lr=0.01, epochs=1, batch_size=4)

    def is_made(frame: FrameType) -> bool:
        return frame.f_code.co_name == "_as_its_own_class" and frame.f_locals["cls"] is TrainDPO

    def is_loss(frame: FrameType) -> bool:
        return frame.f_code is dpo_loss.__code__

    policy = method.policy(given)
    assert isinstance(policy, Tuned)
    stage, bench = policy.by, Bench(root / "stages")
    bench.run(stage)
    planned = on_the_way(lambda: method.policy(given), is_made)
    computed = on_the_way(lambda: stage.run(bench.io("counted")), is_loss)
    return list(dict.fromkeys([*planned, *computed, dpo_loss.__module__]))


@dataclass
class Entered:
    """The modules entered while one of the functions ``during`` runs, up to the call of ``before``.

    With ``handed`` only those with a function that has an argument of which it is true.
    """

    during: list[FunctionType]
    before: FunctionType | None = None
    handed: Callable[[object], bool] | None = None
    found: dict[str, None] = field(default_factory=dict)
    over: bool = False

    def __post_init__(self) -> None:
        self.codes = {function.__code__ for function in self.during}

    def see(self, frame: FrameType) -> None:
        """Take in a call."""
        self.over = self.over or (self.before is not None and frame.f_code is self.before.__code__)
        if self.over or module_of(frame) in self.found:
            return
        if not any(up.f_code in self.codes for up in upwards(frame)):
            return
        if self.handed is None or any(map(self.handed, arguments(frame))):
            self.found.setdefault(module_of(frame))


def on_the_way(action: Action, reached: Callable[[FrameType], bool]) -> list[str]:
    """Return the modules of the calls that are open, the outermost first, when a call is first ``reached``."""
    found: list[str] = []

    def see(frame: FrameType) -> None:
        if not found and reached(frame):
            calls = [up for up in upwards(frame) if up is not frame and is_ours(up)]
            found.extend(module_of(up) for up in reversed(calls))

    profiled(action, see)
    return list(dict.fromkeys(found))


def profiled(action: Action, see: Sees) -> None:
    """Run an action and show ``see`` every call of a function of ours."""

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and is_ours(frame) and frame.f_code.co_name != "<module>":
            see(frame)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(before)


def upwards(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield a call and those that it was called from, the innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def arguments(frame: FrameType) -> Iterator[object]:
    """Yield what a call was handed."""
    code, values = frame.f_code, frame.f_locals  # which are copied each time they are asked for
    for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        yield values.get(name)


def module_of(frame: FrameType) -> str:
    """Return the name of the module whose code is called."""
    return str(frame.f_globals.get("__name__", ""))


def is_ours(frame: FrameType) -> bool:
    """Tell whether a call is one of the packages that are looked at."""
    return module_of(frame).partition(".")[0] in OURS


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        for trip, modules in trips(Path(name)).items():
            sys.stdout.write("\n  ".join([f"{trip}: {len(modules)}", *modules]) + "\n")
