"""A stage: a computation as data, keyed by its content, run once, and kept in the store."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from bench.core.frozen import Open, children, digest, own_identity
from bench.core.meter import Meter

Weights = Literal["replicated", "sharded"]
LOCKS = (
    ".locks"  # in a store, beside its kinds of stages: a file per key that is locked while what it stands for is made
)
# What a stage may leave in its payload for the report: a row of numbers per step, and a mapping.
LOG_FILE, DIAGNOSTICS_FILE = "log.jsonl", "diagnostics.json"


@dataclass(frozen=True)
class Resources:
    """What a stage needs of the machine.

    ``accelerator`` asks for a device of its own where the machine has one; on a machine without, the stage runs on
    one CPU thread. ``distributed``: its work is shared out when it runs in several processes at once, of which the
    main one writes; a stage without it always runs in one.
    """

    accelerator: bool = False
    distributed: bool = False


@dataclass(frozen=True)
class Progress:
    """How far a stage has come: ``done`` of ``total`` ``unit`` (steps, prompts), and tokens so far.

    ``note`` is what else to show (what has been spent).
    """

    done: int
    total: int
    unit: str
    tokens: int = 0
    note: str = ""


@dataclass
class StageIO:
    """What a running stage may touch.

    ``out`` is the payload folder: what is written there is kept, byte for byte. ``scratch`` outlives a killed
    process, so that a stage can resume from its own checkpoints; it is removed when the stage is done. ``device`` is
    a torch device name. ``answers``: the folder with all answers that were ever paid for, which stages and comparisons
    share; None outside of a store. ``tokens``: the folder with data as tokens, which they share too; None likewise.
    ``weights``: whether each of several processes that compute a stage together holds all weights it trains or a part
    of them; it changes results by rounding. ``kept``: what was loaded once for the
    whole stage, by name; it goes with the stage. ``on_warning`` is told what people should know of, such as what was
    found damaged and set aside.
    """

    out: Path
    scratch: Path
    read_payload: Callable[[Stage], Path]
    device: str = "cpu"
    weights: Weights = "replicated"
    answers: Path | None = None
    tokens: Path | None = None
    meter: Meter = field(default_factory=Meter)
    kept: dict[str, Any] = field(default_factory=dict)
    on_progress: Callable[[Progress], None] = lambda _progress: None
    on_warning: Callable[[str], None] = lambda _text: None

    def read(self, stage: Stage) -> Path:
        """Return the payload folder of a finished input stage, its checksums verified.

        Raises StageError when that stage is not finished, DamagedArtefact when its bytes have changed.
        """
        return self.read_payload(stage)

    def diagnose(self, found: Mapping[str, object]) -> None:
        """Write what a stage tells of itself to ``diagnostics.json``, beside what stands there already."""
        path = self.out / DIAGNOSTICS_FILE
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        path.write_text(json.dumps({**before, **found}, indent=2, allow_nan=False) + "\n", encoding="utf-8")

    def warn(self, text: str) -> None:
        """Tell people something of this attempt that is no part of what it computes: it is in no payload."""
        self.on_warning(text)

    def progress(self, done: int, total: int, unit: str, note: str = "") -> None:
        """Report how far this stage has come."""
        tokens = self.meter.trained_tokens + self.meter.generated_tokens
        self.on_progress(Progress(done, total, unit, tokens, note))


class Stage(Open, ABC):
    """A computation described by its fields.

    ``KIND`` names it across renames of the class. ``VERSION`` is raised by hand when results change; a lock over the
    defining module's syntax tree makes a forgotten raise fail a test. Two stages with the same key are one stage.
    """

    KIND: ClassVar[str]
    VERSION: ClassVar[int]
    RESOURCES: ClassVar[Resources] = Resources()

    @cached_property
    def key(self) -> str:
        """The sha256 over kind, version and every field, defaults included; nested stages count by their keys."""
        own = own_identity(self)
        return digest({**own, "type": self.KIND})

    @abstractmethod
    def run(self, io: StageIO) -> None:
        """Compute, and write the payload below ``io.out``. The only place where torch may be imported."""

    def inputs(self) -> tuple[Stage, ...]:
        """Return the stages this one reads, each once, in field order."""
        found: dict[str, Stage] = {}
        for part in children(self):
            for stage in stages_in(part):
                found.setdefault(stage.key, stage)
        return tuple(found.values())

    def resources(self) -> Resources:
        """Return what this stage needs of the machine: ``RESOURCES``, unless its fields decide."""
        return self.RESOURCES

    def label(self) -> str:
        """Return a short name for progress lines and error messages."""
        return f"{self.KIND} {self.key[:10]}"


def stages_in(value: Any) -> Iterator[Stage]:
    """Yield the outermost stages in a value (a policy, a data specification), not those nested within them."""
    if isinstance(value, Stage):
        yield value
        return
    for part in children(value):
        yield from stages_in(part)
