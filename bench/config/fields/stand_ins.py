"""What stands in for code of others where a run that is over is read: for a file beside the comparison, or a package's.

None of that code is executed to read what a run concluded. A stand-in says what the run recorded of the class (its
name, a task's metrics) and the fields as the comparison writes them, and computes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeVar

from bench.core.checker import Asked, Extractor, Passage, Retriever, Verifier
from bench.core.data import Data, DataSpec
from bench.core.errors import BenchError, DataError, StageError
from bench.core.frozen import Frozen, Open
from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.method import Given, Method
from bench.core.metrics import MetricInfo
from bench.core.plugins import Kind
from bench.core.policy import Decoding, PolicySpec, Pretrained
from bench.core.stage import StageIO
from bench.core.task import Choice, Claim, Finding, Prompt, Task, World

P = TypeVar("P", bound=Open)
NOT_KNOWN = "not here: "


def unknown_digest(name: str) -> str:
    """Return what stands for the digest of something that is not here and of which none is recorded."""
    return f"{NOT_KNOWN}{name}"


def is_unknown(value: Any) -> bool:
    """Return whether a value cannot be keyed: a stand-in, or what has no digest that a run could have had."""
    digest = getattr(value, "digest", None)
    return isinstance(value, StandIn) or (isinstance(digest, str) and digest.startswith(NOT_KNOWN))


@dataclass(frozen=True)
class PluginOnRecord:
    """What a run recorded of a plug-in of others.

    ``name``: its NAME. ``metrics``: those of a task. ``cites``: the arXiv ids in its documentation. ``seed``: a
    judge's, None for one that draws no noise. ``settings``: its plain fields as they were; ``defaults``: theirs where
    the comparison does not write them. ``package``: the installed one that it is from. ``is_guessed``: a version before
    these fields recorded a digest alone.
    """

    name: str
    metrics: tuple[MetricInfo, ...] = ()
    cites: tuple[str, ...] = ()
    seed: int | None = None
    settings: tuple[Mapping[str, Any], ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    package: str | None = None
    is_guessed: bool = False


class FileRead(Frozen):
    """A file that the fields of a plug-in name, with its digest."""

    path: str
    digest: str
    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})


class StandIn(Open):
    """A plug-in whose code is not run.

    ``code``: the file's name, or the name that a package announces. ``path``: where the file is looked for, None for a
    plug-in of a package. ``digest``: that of the file, or of what the run recorded. ``written``: the fields as JSON.
    """

    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})
    KNOWN: ClassVar[PluginOnRecord]

    code: str
    path: str | None
    digest: str
    written: str = "{}"
    files: tuple[FileRead, ...] = ()

    @property
    def fields(self) -> dict[str, Any]:
        """The fields as the comparison writes them."""
        return dict(json.loads(self.written))

    def _why(self) -> str:
        return f"{self.code} is code of others, which only `bench plan` and `bench run` execute."


class MethodStandIn(StandIn, Method):
    """A method whose code is not run."""

    def policy(self, given: Given) -> PolicySpec:
        """Return a policy that has no key that a run could have."""
        return Pretrained(digest=unknown_digest(self.code), revision=f"{self.written} {given.seed}")


class JudgeStandIn(StandIn, Judge):
    """A judge whose code is not run. ``seed``: that of its noise, None for one that draws none."""

    NAME: ClassVar[str] = ""
    seed: int | None = None

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Raise StageError: only its code could judge."""
        raise StageError(self._why())

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        """Raise StageError: only its code could judge."""
        raise StageError(self._why())


class TaskStandIn(StandIn, Task):
    """A task whose code is not run."""

    NAME: ClassVar[str] = ""

    def prompts(self) -> Sequence[Prompt]:
        """Raise DataError: only its code has them."""
        raise DataError(self._why())

    def decoding(self) -> Decoding:
        """Raise DataError: only its code says it."""
        raise DataError(self._why())

    def choices(self, prompt: Prompt) -> Sequence[Choice]:
        """Raise DataError: only its code has them."""
        raise DataError(self._why())


class WorldStandIn(StandIn, World):
    """A world whose code is not run: it has the sizes and splits that are asked of it."""

    NAME: ClassVar[str] = ""

    def sizes(self) -> tuple[str, ...]:
        """Return the size that the comparison names."""
        return (str(self.fields.get("size")),)

    def splits(self) -> tuple[str, ...]:
        """Return the split that the comparison names."""
        return (str(self.fields.get("split")),)

    def policy(self, size: str) -> PolicySpec:
        """Return a policy that has no key that a run could have."""
        return Pretrained(digest=unknown_digest(self.code), revision=size)

    def data(self, split: str, limit: int | None) -> DataSpec:
        """Return data that have no key that a run could have."""
        return Data(path=self.code, digest=unknown_digest(self.code), limit=limit)


class ExtractorStandIn(StandIn, Extractor):
    """An extractor whose code is not run."""

    NAME: ClassVar[str] = ""

    def extract(self, task: Task, responses: Sequence[Response], io: StageIO) -> list[list[Claim]]:
        """Raise StageError: only its code could find claims."""
        raise StageError(self._why())


class RetrieverStandIn(StandIn, Retriever):
    """A retriever whose code is not run."""

    NAME: ClassVar[str] = ""

    def build(self, passages: Sequence[Passage], io: StageIO) -> None:
        """Raise StageError: only its code could do it."""
        raise StageError(self._why())

    def nearest(self, index: Path, questions: Sequence[str], most: int, io: StageIO) -> list[list[int]]:
        """Raise StageError: only its code could do it."""
        raise StageError(self._why())


class VerifierStandIn(StandIn, Verifier):
    """A verifier whose code is not run."""

    NAME: ClassVar[str] = ""
    READS: ClassVar[Literal["task", "passages"]] = "passages"

    def verify(self, task: Task, asked: Sequence[Asked], io: StageIO) -> list[Finding]:
        """Raise StageError: only its code could do it."""
        raise StageError(self._why())


STAND_INS: tuple[type[StandIn], ...] = (
    MethodStandIn, JudgeStandIn, TaskStandIn, WorldStandIn, ExtractorStandIn, RetrieverStandIn, VerifierStandIn
)  # fmt: skip


@dataclass(frozen=True)
class CodeOfOthers:
    """Which code a comparison names: what it is called, the file and its digest, and what a run recorded of it."""

    called: str
    path: Path | None
    digest: str
    known: PluginOnRecord
    files: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def stand_in_for(kind: Kind[P], code: CodeOfOthers, fields: Mapping[str, Any]) -> P:
    """Return what stands in for a plug-in of that kind, with its fields as the comparison writes them.

    Raises BenchError for a kind that nothing stands in for.
    """
    cls = next((cls for cls in STAND_INS if issubclass(cls, kind.base)), None)
    if cls is None:
        raise BenchError(f"{code.called}: nothing can stand in for a {kind.word}")
    known = code.known
    cites = " ".join(f"arXiv:{name}" for name in known.cites)
    body: dict[str, Any] = {"__module__": __name__, "__doc__": cites, "KNOWN": known}
    if kind.named:
        body["NAME"] = known.name
    if issubclass(cls, Task):
        body["METRICS"] = known.metrics
    named = type(cls.__name__, (cls,), body)
    own: dict[str, Any] = {"seed": _seed(known, fields)} if issubclass(cls, Judge) else {}
    made = named(
        code=code.called,
        path=None if code.path is None else str(code.path),
        digest=code.digest,
        written=json.dumps({str(key): item for key, item in fields.items()}, sort_keys=True, default=str),
        files=tuple(FileRead(path=path, digest=digest) for path, digest in code.files.items()),
        **own,
    )
    assert isinstance(made, kind.base)
    return made


def _seed(known: PluginOnRecord, fields: Mapping[str, Any]) -> int | None:
    """Return the seed of a judge's noise, as it is written or else as it was; None for one that draws none."""
    seed = fields.get("seed")
    if known.seed is None:
        return None
    return seed if isinstance(seed, int) else known.seed
