"""Files that a comparison names: found, checked cheaply, and identified by the digest of their bytes.

For a run to come (``FilesToRead``) every file must be there and be what it is named for. How a run that is over is read
without its files: ``bench.config.fields.files_read``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import Any, ClassVar, TypeVar

from bench.config.document.problems import shown
from bench.config.fields.hub_data import HubAsked, found_on_hub
from bench.core.data import Data, HubFiles
from bench.core.errors import BenchError, DataError
from bench.core.files import digest_of_folder, kind_at
from bench.core.formats.adapter_files import read_adapter
from bench.core.formats.gguf_header import SUFFIX, header_of
from bench.core.formats.model_files import check_model_files
from bench.core.frozen import Open, digest_of_file
from bench.core.lengths import RowsOf
from bench.core.plugins import Kind

P = TypeVar("P", bound=Open)


class FilesToRead:
    """What a run to come reads. ``EXECUTES``: code of others that the comparison names is imported."""

    EXECUTES: ClassVar[bool] = True

    def lacks(self, path: Path) -> bool:
        """Return whether nothing is at a path and the reading goes on without it."""
        del path
        return False

    def forgives(self, error: BenchError) -> bool:
        """Return whether the reading goes on where what a file says cannot be used for a run."""
        del error
        return False

    def digest(self, path: Path, checked: Callable[[], str]) -> str:
        """Return the digest of what is at a path, which ``checked`` gives after it has looked at the content."""
        del path
        return checked()

    def data(self, asked: Data, checked: Callable[[], Data], rows_of: RowsOf) -> Data:
        """Return the data that is asked for, which ``checked`` gives after it has looked at every row.

        ``rows_of``: what its rows are.
        """
        del asked, rows_of
        return checked()

    def hub(
        self, asked: HubAsked, settings: Mapping[str, Any], checked: Callable[[Data], Data], rows_of: RowsOf
    ) -> Data:
        """Return the data of the hub that is asked for, read with these settings.

        ``checked``: looks at all rows of files, and gives them with their digest and format.
        """
        del rows_of
        found = found_on_hub(asked)
        hub = HubFiles(repo=asked.repo, commit=found.commit, config=asked.config, asked=asked.revision)
        return checked(Data(path=str(found.folder), digest="", files=found.files, hub=hub, **settings))

    def to_come(self, path: Path) -> str | None:
        """Return the digest of a file that may come later, None while it is not there."""
        return None if kind_at(path) is None else digest_of(path)

    def text(self, path: Path) -> str | None:
        """Return the text to take for a comparison file that is not here, None for one that is to be read."""
        del path
        return None

    def stand_in(self, kind: Kind[P], name: str, file: Path, fields: Mapping[str, Any]) -> P | None:
        """Return a value in the place of a plug-in whose code is not run, None where its class is to be found."""
        del kind, name, file, fields
        return None


def digest_of(path: Path) -> str:
    """Return the digest of a file or folder; raises DataError when it cannot be read."""
    try:
        return digest_of_folder(path) if path.is_dir() else digest_of_file(path)
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read: {error.strerror}") from error


def digest_of_model(folder: Path) -> str:
    """Return the digest of a model folder; raises DataError for what is no causal language model with its weights."""
    check_model_files(folder, shown(folder))
    return digest_of(folder)


def digest_of_gguf(file: Path) -> str:
    """Return the digest of a GGUF file; raises DataError for what is no whole model, and where gguf is absent."""
    if file.suffix != SUFFIX:
        raise DataError(f"{shown(file)}: the name of a GGUF file ends with {SUFFIX}\nfor a folder write `path:`")
    header_of(file, shown(file))
    if find_spec("gguf") is None:
        raise DataError(f"{shown(file)}: reading GGUF needs the package gguf\npip install 'alignment-bench[gguf]'")
    return digest_of(file)


def digest_of_adapter(folder: Path) -> str:
    """Return the digest of an adapter's folder; raises DataError for what is none, or is not computed here."""
    read_adapter(folder, shown(folder))
    return digest_of(folder)


def ends_with(path: PurePath, name: str) -> bool:
    """Return whether the last parts of a path are those of ``name``."""
    parts = PurePath(name).parts
    return path.parts[-len(parts) :] == parts


def short_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Return for each path as few of its last parts as tell it apart from the others, with slashes."""
    found: dict[Path, str] = {}
    for path in paths:
        others = [other for other in paths if other != path]
        for count in range(1, len(path.parts) + 1):
            name = "/".join(path.parts[-count:])
            if not any(ends_with(other, name) for other in others):
                break
        found[path] = name
    return found
