"""The files that a comparison names, as a run that is over has read them.

What a run concluded stands without its inputs: a file that is not here has the digest that the run recorded, and a
plug-in whose file is not here is stood in for by a value that computes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from bench.config.fields.named_files import FilesToRead, digest_of, ends_with
from bench.core.errors import BenchError, DataError, StageError
from bench.core.files import kind_at
from bench.core.frozen import Open
from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.method import Given, Method
from bench.core.plugins import Kind
from bench.core.policy import Decoding, PolicySpec
from bench.core.stage import StageIO
from bench.core.task import Prompt, Task

P = TypeVar("P", bound=Open)


@dataclass(frozen=True)
class Recorded:
    """What a run has recorded of its files.

    ``digests``: of everything that it read, by the end of its path that tells it apart. ``names``: the NAME of a judge
    or task from a file, by the file's name. ``texts``: those of the comparison file and of what it extends, by path.
    """

    digests: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    texts: Mapping[Path, str] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, path: Path) -> str | None:
        """Return the recorded digest of a file, None where none is recorded for that name."""
        found = {digest for name, digest in self.digests.items() if ends_with(path, name)}
        return found.pop() if len(found) == 1 else None


class FilesThatWereRead(FilesToRead):
    """What a run has read. ``absent``: what is not here, with the recorded digest, None where none is recorded."""

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded
        self.absent: dict[Path, str | None] = {}

    def lacks(self, path: Path) -> bool:
        """Return whether nothing is at the path; this is kept."""
        if kind_at(path) is not None:
            return False
        self.absent.setdefault(path, self.recorded.of(path))
        return True

    def forgives(self, error: BenchError) -> bool:
        """Return True: what a file says is not used, and its digest tells whether it has changed."""
        del error
        return True

    def digest(self, path: Path, checked: Callable[[], str]) -> str:
        """Return the digest of what is at the path, or the recorded one of what is not here."""
        del checked
        if not self.lacks(path):
            return digest_of(path)
        known = self.absent[path]
        return unknown_digest(path) if known is None else known

    def to_come(self, path: Path) -> str | None:
        """Return the digest of a file that may come later; the recorded one of a file that was there for the run."""
        if kind_at(path) is None and self.recorded.of(path) is None:
            return None
        return self.digest(path, lambda: digest_of(path))

    def text(self, path: Path) -> str | None:
        """Return the recorded text of a comparison file that is not here; None where it is, or none is recorded."""
        return self.recorded.texts.get(path) if self.lacks(path) else None

    def stand_in(self, kind: Kind[P], file: Path, fields: Mapping[str, Any]) -> P | None:
        """Return a value in the place of a plug-in whose file is not here; None where it is.

        Raises BenchError for a file of a kind that nothing can stand in for.
        """
        if not self.lacks(file):
            return None
        cls = next((cls for cls in STAND_INS if issubclass(cls, kind.base)), None)
        if cls is None:
            raise BenchError(f"{file}: no such file, and nothing can stand in for a {kind.word}\nput it back")
        called = self.recorded.names.get(file.name, file.stem)
        body = {"__module__": __name__, "__doc__": cls.__doc__, **({"NAME": called} if hasattr(cls, "NAME") else {})}
        named = type(cls.__name__, (cls,), body)
        written = json.dumps({str(key): item for key, item in fields.items()}, sort_keys=True, default=str)
        made = named(path=str(file), digest=unknown_digest(file), written=written)
        assert isinstance(made, kind.base)
        return made


def unknown_digest(path: Path) -> str:
    """Return what stands for the digest of a file that is not here and of which none is recorded."""
    return f"not here: {path.name}"


class _NotHere(Open):
    """A plug-in whose file is not here: where it lay, and its fields as written. Its digest is unknown.

    A recorded one would not help: what rests on this class has no key that a run could have.
    """

    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})

    path: str
    digest: str
    written: str = "{}"

    def _why(self) -> str:
        return f"{self.path} is not here. Put it back."


class MethodNotHere(_NotHere, Method):
    """A method whose file is not here."""

    def policy(self, given: Given) -> PolicySpec:
        """Raise BenchError: only the file could plan it."""
        raise BenchError(self._why())


class JudgeNotHere(_NotHere, Judge):
    """A judge whose file is not here."""

    NAME: ClassVar[str] = ""

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Raise StageError: only the file could judge."""
        raise StageError(self._why())

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        """Raise StageError: only the file could judge."""
        raise StageError(self._why())


class TaskNotHere(_NotHere, Task):
    """A task whose file is not here."""

    NAME: ClassVar[str] = ""

    def prompts(self) -> Sequence[Prompt]:
        """Raise DataError: only the file has them."""
        raise DataError(self._why())

    def decoding(self) -> Decoding:
        """Raise DataError: only the file says it."""
        raise DataError(self._why())


STAND_INS: tuple[type[_NotHere], ...] = (MethodNotHere, JudgeNotHere, TaskNotHere)
