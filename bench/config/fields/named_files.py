"""Files that a comparison names: found, checked cheaply, and identified by the digest of their bytes.

For a run to come (``FilesToRead``) every file must be there and be what it is named for. How a run that is over is read
without its files: ``bench.config.fields.files_read``.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, ClassVar, Literal, TypeVar

from bench.config.document.problems import shown
from bench.core.errors import BenchError, DataError
from bench.core.files import digest_of_folder
from bench.core.frozen import Open, digest_of_file
from bench.core.plugins import Kind
from bench.core.rows import read_rows

P = TypeVar("P", bound=Open)

# How transformers names models that write text: causal ones, and those of images and text that it loads as such.
_CAUSAL = ("ForCausalLM", "LMHeadModel", "ModelWithLMHead", "ForConditionalGeneration")


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

    def to_come(self, path: Path) -> str | None:
        """Return the digest of a file that may come later, None while it is not there."""
        return None if kind_of(path) is None else digest_of(path)

    def text(self, path: Path) -> str | None:
        """Return the text to take for a comparison file that is not here, None for one that is to be read."""
        del path
        return None

    def stand_in(self, kind: Kind[P], name: str, file: Path, fields: Mapping[str, Any]) -> P | None:
        """Return a value in the place of a plug-in whose code is not run, None where its class is to be found."""
        del kind, name, file, fields
        return None


def kind_of(path: Path) -> Literal["file", "folder"] | None:
    """Return what lies at a path, None for nothing (a path that the system refuses included)."""
    try:
        return "file" if path.is_file() else "folder" if path.is_dir() else None
    except OSError:
        return None


def digest_of(path: Path) -> str:
    """Return the digest of a file or folder; raises DataError when it cannot be read."""
    try:
        return digest_of_folder(path) if path.is_dir() else digest_of_file(path)
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read: {error.strerror}") from error


def digest_of_model(folder: Path) -> str:
    """Return the digest of a model folder; raises DataError when it is none, saying what is missing."""
    if kind_of(folder) != "folder":
        raise DataError(f"{shown(folder)}: no such folder\ngive the folder that holds config.json and *.safetensors")
    lacking = [] if (folder / "config.json").is_file() else ["config.json"]
    if not any(folder.glob("*.safetensors")):
        lacking.append("*.safetensors")
    if lacking:
        raise DataError(
            f"{shown(folder)}: no model folder: {' and '.join(lacking)} missing\n"
            "save the model with save_pretrained(..., safe_serialization=True)"
        )
    check_causal(folder)
    return digest_of(folder)


def check_causal(folder: Path) -> None:
    """Raise DataError for a model folder whose config.json names no causal language model."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{shown(folder)}: its config.json cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise DataError(f"{shown(folder)}: its config.json is no mapping, so no model is described")
    listed = config.get("architectures")
    names = [str(name) for name in listed] if isinstance(listed, list) else []
    called = ", ".join(names) if names else f"a model of the type {config.get('model_type')!r}"
    if config.get("is_encoder_decoder"):
        raise DataError(f"{shown(folder)}: {called} is an encoder-decoder model; give a causal (decoder-only) one")
    if names and not any(name.endswith(_CAUSAL) for name in names):
        raise DataError(f"{shown(folder)}: {called} is no causal language model; give one, such as LlamaForCausalLM")


def digest_of_data(file: Path, needed: Collection[str], columns: Mapping[str, str | None]) -> str:
    """Return the digest of a data file whose first row has the needed columns.

    ``columns`` renames: the program's name to the file's, None for one that is not read. Raises DataError for a file
    that is missing, of an unknown format, empty, unreadable, or without a needed or renamed column.
    """
    if kind_of(file) != "file":
        raise DataError(f"{shown(file)}: no such file\nthe path starts from the folder of the file it is written in")
    there = columns_of(file)
    unread = [name for name in needed if columns.get(name, name) is None]
    if unread:
        raise DataError(
            f"{shown(file)}: every row needs '{unread[0]}', which `columns: {{{unread[0]}: null}}` leaves out"
        )
    asked = {name: column for name in [*needed, *columns] if (column := columns.get(name, name)) is not None}
    missing = {name: column for name, column in asked.items() if column not in there}
    if missing:
        what = "column" if len(missing) == 1 else "columns"
        names = ", ".join(f"'{name}'" for name in missing.values())
        raise DataError(
            f"{shown(file)}: no {what} {names} in the first row (it has {', '.join(there) or 'none'})\n"
            f"name the file's columns with `columns: {{{next(iter(missing))}: ...}}`"
        )
    return digest_of(file)


def columns_of(file: Path) -> list[str]:
    """Return the column names of a data file's first row; raises DataError when there is none."""
    try:
        if file.suffix == ".parquet":
            import pyarrow.parquet as pq  # noqa: PLC0415 - slow to import and needed for this one format

            metadata = pq.ParquetFile(file)
            row = dict.fromkeys(metadata.schema_arrow.names) if metadata.metadata.num_rows else None
        else:
            row = next(read_rows(file, shown(file)), None)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(f"{shown(file)}: cannot be read: {error}") from error
    if row is None:
        raise DataError(f"{shown(file)}: holds no rows")
    if not isinstance(row, Mapping):
        raise DataError(f"{shown(file)}: a row must be a mapping of columns, and the first is not")
    return [str(name) for name in row]


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
