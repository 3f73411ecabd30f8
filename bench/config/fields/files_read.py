"""The files that a comparison names, as a run that is over has read them.

What a run concluded stands without its inputs, and is read without executing code of others: a file that is not here
has the digest that the run recorded, and a plug-in of others, here or not, is stood in for by a value that computes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from bench.config.fields.hub_data import HubAsked
from bench.config.fields.named_files import FilesToRead, digest_of, ends_with
from bench.config.fields.stand_ins import CodeOfOthers, PluginOnRecord, stand_in_for, unknown_digest
from bench.core.data import Data, HubFiles
from bench.core.errors import BenchError, DataError
from bench.core.files import kind_at, resolved
from bench.core.formats.folders import shards_in
from bench.core.frozen import Open
from bench.core.lengths import RowsOf
from bench.core.metrics import MetricInfo
from bench.core.plugins import Kind, is_own, package_of
from bench.core.row_formats.file_digests import digest_of_data

P = TypeVar("P", bound=Open)


@dataclass(frozen=True)
class Recorded:
    """What a run has recorded of its files.

    ``digests``: of everything that it read, by the end of its path that tells it apart. ``plugins``: what it recorded
    of code of others, by what the code is called. ``metrics``: all of the run. ``texts``: those of the comparison file
    and of what it extends, by path.
    """

    digests: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    plugins: Mapping[str, PluginOnRecord] = field(default_factory=lambda: MappingProxyType({}))
    metrics: tuple[MetricInfo, ...] = ()
    texts: Mapping[Path, str] = field(default_factory=lambda: MappingProxyType({}))
    formats: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    hub: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, path: Path) -> str | None:
        """Return the recorded digest of a file, None where none is recorded for that name."""
        found = {digest for name, digest in self.digests.items() if ends_with(path, name)}
        return found.pop() if len(found) == 1 else None


def format_key(rows_of: str, digest: str) -> str:
    """Return under which name a run records the format of data with that digest, read as such rows."""
    return f"{rows_of} {digest[:16]}"


def hub_key(repo: str, revision: str, config: str | None, split: str | None) -> str:
    """Return under which name a run records the commit and the digest of data on the hub."""
    return " ".join([f"{repo}@{revision}", *(part for part in (config, split) if part is not None)])


class FilesThatWereRead(FilesToRead):
    """What a run has read. ``absent``: what is not here, with the recorded digest, None where none is recorded."""

    EXECUTES: ClassVar[bool] = False

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
        return unknown_digest(path.name) if known is None else known

    def data(self, asked: Data, checked: Callable[[], Data], rows_of: RowsOf) -> Data:
        """Return the data with the digest of what is here, or the recorded one; its rows are not read."""
        del checked
        place = Path(asked.path)
        if self.lacks(place):
            known = self.absent[place]
            found = asked.model_copy(update={"digest": unknown_digest(place.name) if known is None else known})
        else:
            try:
                names = shards_in(place, asked.split, place.name) if place.is_dir() else ()
                found = asked.model_copy(update={"files": names})
                found = found.model_copy(update={"digest": digest_of_data(found)})
            except DataError:  # what is here now cannot be read, so it is not what was read
                found = asked.model_copy(update={"digest": unknown_digest(place.name)})
        known_format = self.recorded.formats.get(format_key(rows_of, found.digest))
        return found if asked.format is not None else found.model_copy(update={"format": known_format})

    def hub(
        self, asked: HubAsked, settings: Mapping[str, Any], checked: Callable[[Data], Data], rows_of: RowsOf
    ) -> Data:
        """Return the data of the hub at the recorded commit; it is not looked for."""
        del checked
        known = self.recorded.hub.get(hub_key(asked.repo, asked.revision, asked.config, asked.split))
        nothing = unknown_digest(str(asked))
        commit, _, digest = f"{nothing} {nothing}".partition(" ") if known is None else known.partition(" ")
        hub = HubFiles(repo=asked.repo, commit=commit, config=asked.config, asked=asked.revision)
        found = Data(path=str(asked), digest=digest, hub=hub, **settings)
        return (
            found
            if "format" in settings
            else found.model_copy(update={"format": self.recorded.formats.get(format_key(rows_of, digest))})
        )

    def to_come(self, path: Path) -> str | None:
        """Return the digest of a file that may come later; the recorded one of a file that was there for the run."""
        if kind_at(path) is None and self.recorded.of(path) is None:
            return None
        return self.digest(path, lambda: digest_of(path))

    def text(self, path: Path) -> str | None:
        """Return the recorded text of a comparison file that is not here; None where it is, or none is recorded."""
        return self.recorded.texts.get(path) if self.lacks(path) else None

    def stand_in(self, kind: Kind[P], name: str, file: Path, fields: Mapping[str, Any]) -> P | None:
        """Return a value in the place of a plug-in of others, whose code is not run; None for one of this program."""
        if name.endswith(".py"):
            called, path, digest = file.name, file, self.digest(file, lambda: digest_of(file))
        elif is_own(kind, name):
            return None
        else:
            package = package_of(kind, name)
            called, path, digest = name, None, unknown_digest(name) if package is None else package
        known = self.recorded.plugins.get(called)
        if path is None and known is None and digest == unknown_digest(name):
            raise BenchError(
                f"unknown {kind.word} '{name}': no file of this program has this name, no installed package announces "
                "it, and the run recorded none"
            )
        if known is None:
            known = PluginOnRecord(name=Path(called).stem, metrics=self.recorded.metrics, is_guessed=True)
        read = {str(place): self.digest(place, lambda: "") for place in self._named_in(fields, file.parent)}
        return stand_in_for(kind, CodeOfOthers(called, path, digest, known, read), fields)

    def _named_in(self, value: Any, folder: Path) -> Iterator[Path]:
        """Yield the files within the fields of a plug-in that the run has read."""
        if isinstance(value, str):
            place = resolved(folder / value)
            if self.recorded.of(place) is not None:
                yield place
        elif isinstance(value, Mapping | list):
            for part in value.values() if isinstance(value, Mapping) else value:
                yield from self._named_in(part, folder)
