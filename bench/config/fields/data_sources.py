"""Where data comes from: an embedded world, local files and folders, or the hub; and the format of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.config.document.problems import KeyPath, shown
from bench.config.document.section import Section, as_written
from bench.config.fields.hub_data import HubAsked
from bench.config.fields.sources import REPO, form_of, one_of, read_world
from bench.core.cells import is_missing
from bench.core.data import Data, DataSpec, Mixture, Weighted
from bench.core.datasets import check_rows
from bench.core.errors import BenchError, DataError, some_of
from bench.core.files import kind_at
from bench.core.formats.folders import shards_in
from bench.core.lengths import RowsOf
from bench.core.row_formats.file_digests import digest_of_data
from bench.core.row_formats.listing import format_named, gives, recognise, serving
from bench.core.row_formats.reading import as_far_as_there, first_rows
from bench.core.row_formats.row_facts import facts_of, remember
from bench.core.row_formats.row_format import RawRow


@dataclass(frozen=True)
class Columns:
    """The columns of a kind of data: those that every row needs, and those that are read where there are any.

    ``rows_of``: what its rows are.
    """

    rows_of: RowsOf
    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that a file may call something else, the row's id among them."""
        return (*self.needed, *self.optional, ROW_ID)

    def of_formats(self) -> frozenset[str]:
        """Return the columns that formats of such data read."""
        return frozenset(name for one in serving(self.rows_of) for name in one.reads())


ROW_ID = "id"  # a column that rows may have; it can be renamed like the needed ones
PREFERENCES = "preferences"
COLUMNS = {
    "demonstrations": Columns("demonstrations", ("prompt", "response"), ("probability", "finish")),
    PREFERENCES: Columns(
        "preferences",
        ("prompt", "chosen", "rejected"),
        ("probability", "margin", "chosen_finish", "rejected_finish"),
    ),
    "prompts": Columns("prompts", ("prompt",), ("kind", "cluster", "facts")),
}
_ROWS = ("columns", "limit", "format", "pairing", "margins", "facts", "train_on")
FILE_KEYS = ("path", "split", *_ROWS)
SHARE = "weight"
_INPUTS = ("input", "context")
HUB_KEYS = ("repo", "revision", "config", "split", *_ROWS)
DATA_FORMS = {"world": ("world", "split", "limit"), "path": FILE_KEYS, "repo": HUB_KEYS, "paths": ("paths",)}


def read_data(section: Section, path: KeyPath, value: Any, own: Columns) -> DataSpec | None:
    """Return the data that a mapping names by a key of ``DATA_FORMS``, None when it is wrong (reported)."""
    form = form_of(section, path, value, DATA_FORMS)
    match form:
        case "world":
            return _world_data(section, path, value)
        case "paths":
            return _mixture(section, path, value, own)
        case "path":
            return _file_data(section, path, value, own)
        case "repo":
            return _hub_data(section, path, value, own)
    return None


def _mixture(section: Section, path: KeyPath, value: Any, own: Columns) -> Mixture | None:
    fields = section.keys(path, value, DATA_FORMS["paths"]) or {}
    here = (*path, "paths")
    parts: list[Weighted | None] = []
    for number, item in enumerate(section.items(here, fields.get("paths"), "file")):
        at = (*here, number)
        named = {"path": item} if isinstance(item, str) else item
        if not isinstance(named, dict) or not named.keys() & {"path", "repo"}:
            section.problem(at, f"must be a file or a mapping with `path` or `repo`, not {as_written(item)}")
            parts.append(None)
            continue
        weight = named.get(SHARE, 1.0)
        right = section.field(Weighted, SHARE, (*at, SHARE), weight)
        rest = {name: inner for name, inner in named.items() if name != SHARE}
        data = (_file_data if "path" in rest else _hub_data)(section, at, rest, own)
        parts.append(Weighted(data=data, weight=float(weight)) if data is not None and right else None)
    found = [part for part in parts if part is not None]
    return Mixture(parts=tuple(found)) if found and len(found) == len(parts) else None


def _file_data(section: Section, path: KeyPath, value: Any, own: Columns) -> Data | None:
    """Return the data of a file or folder: its files, its format as named or recognised, and its digest."""
    fields = section.keys(path, value, FILE_KEYS)
    if fields is None:
        return None
    if not isinstance(fields["path"], str):
        section.problem((*path, "path"), f"must be text, not {as_written(fields['path'])}")
        return None
    named = _settings(section, path, fields, own)
    place = section.resolve((*path, "path"), fields["path"])
    draft = Data(path=str(place), digest="", **({} if named is None else named))
    try:
        found = section.files.data(draft, lambda: _checked(draft, own, right=named is not None), own.rows_of)
    except BenchError as error:
        section.refused((*path, "path"), error)
        return None
    return found.model_copy(update=named) if named is not None and found is not None else None


def _hub_data(section: Section, path: KeyPath, value: Any, own: Columns) -> Data | None:
    """Return the data of a repository on the hub, at the commit that its revision is now."""
    fields = section.keys(path, value, HUB_KEYS)
    if fields is None:
        return None
    texts = {name: fields[name] for name in ("repo", "revision", "config", "split") if name in fields}
    wrong = [name for name, text in texts.items() if not isinstance(text, str)]
    for name in wrong:
        section.problem((*path, name), f"must be text, not {as_written(texts[name])}")
    named = None if wrong else _settings(section, path, fields, own)
    if named is None:
        return None
    if not REPO.fullmatch(texts["repo"]):
        section.problem((*path, "repo"), f"'{texts['repo']}' is no repository name", "write org/name")
        return None
    asked = HubAsked(**texts)
    try:
        return section.files.hub(asked, named, lambda found: _checked_files(found, own), own.rows_of)
    except BenchError as error:
        section.refused((*path, "repo"), error)
        return None


def _settings(section: Section, path: KeyPath, fields: Mapping[str, Any], own: Columns) -> dict[str, Any] | None:
    """Return what the file says of rows, None where something of it is wrong (reported)."""
    columns = fields.get("columns", {})
    right = section.field(Data, "columns", (*path, "columns"), columns)
    if right and not set(columns) <= {*own.names, *own.of_formats()}:
        right = section.keys((*path, "columns"), columns, own.names) == columns
    as_given = ("limit", "split", "pairing", "margins", "train_on")
    for name in (*as_given, "facts"):
        if name in fields:
            right = section.field(Data, name, (*path, name), fields[name]) and right
    found = {name: fields[name] for name in ("columns", *as_given) if name in fields}
    if "facts" in fields and isinstance(fields["facts"], list):
        found["facts"] = tuple(fields["facts"])
    if "format" in fields:
        try:
            found["format"] = format_named(str(fields["format"]), own.rows_of)
        except DataError as error:
            section.refused((*path, "format"), error)
            right = False
    return found if right else None


def data_at(place: Path, own: Columns, settings: Mapping[str, Any]) -> Data:
    """Return the data of a file or folder read with these settings (fields of ``Data``), all rows looked at.

    Raises DataError for what a comparison would refuse.
    """
    named = {**settings}
    if "format" in named:
        named["format"] = format_named(str(named["format"]), own.rows_of)
    return _checked(Data(path=str(place), digest="", **named), own, right=True)


def files_at(place: Path, settings: Mapping[str, Any]) -> Data:
    """Return the data of a file or folder, its files found and no row looked at; raises DataError."""
    return _found(Data(path=str(place), digest="", **settings))


def _checked(draft: Data, own: Columns, *, right: bool) -> Data:
    """Return the data with its files, format and digest, each row of which has been looked at.

    ``right``: whether what is said of it is; otherwise only its files are looked at. Raises DataError.
    """
    data = _found(draft)
    return _checked_files(data, own) if right else data.model_copy(update={"digest": digest_of_data(data)})


def _found(draft: Data) -> Data:
    """Return the data with its files; raises DataError where there are none."""
    place = Path(draft.path)
    match kind_at(place):
        case None:
            raise DataError(
                f"{shown(place)}: no such file\nthe path starts from the folder of the file it is written in"
            )
        case "folder":
            return draft.model_copy(update={"files": shards_in(place, draft.split, shown(place))})
        case "file" if draft.split is not None:
            raise DataError(f"{shown(place)}: is one file, which has no splits\nleave out `split:`")
        case "file":
            return draft


def _checked_files(data: Data, own: Columns) -> Data:
    """Return data whose files are known with format and digest; raises DataError about all rows that are wrong."""
    where = shown(Path(data.path)) if data.hub is None else f"{data.hub.repo}@{data.hub.commit[:12]}"
    rows = first_rows(data, where)
    try:
        _check_columns(data, rows[0], own.needed)
        _check_input(data, rows)
        if "format" not in data.model_fields_set:
            data = data.model_copy(update={"format": _recognised(data, rows, own)})
        _check_settings(data, own.rows_of)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    _check_shards(data, where)
    seen = check_rows(data, own.rows_of, where)
    found = data.model_copy(update={"digest": digest_of_data(data)})
    remember(found, own.rows_of, facts_of(seen))
    return found


def _recognised(data: Data, rows: list[RawRow], own: Columns) -> str | None:
    """Return the format of the first rows, their columns renamed; raises DataError."""
    try:
        return recognise([as_far_as_there(row, data.columns) for row in rows], own.rows_of).name
    except DataError as error:
        unread = [name for name in own.needed if data.columns.get(name, name) is None]
        if unread:
            raise DataError(
                f"every row needs '{unread[0]}', which `columns: {{{unread[0]}: null}}` leaves out"
            ) from error
        raise


def _check_columns(data: Data, first: RawRow, needed: Sequence[str]) -> None:
    """Raise DataError where the first row lacks a column that is renamed; it names those needed that lack, too."""
    renamed = [column for column in data.columns.values() if column is not None and column not in first]
    asked = {name: column for name in (*needed, *data.columns) if (column := data.columns.get(name, name)) is not None}
    missing = {name: column for name, column in asked.items() if column not in first}
    if renamed:
        what = "column" if len(missing) == 1 else "columns"
        names = ", ".join(f"'{name}'" for name in missing.values())
        raise DataError(
            f"no {what} {names} in the first row (it has {some_of([str(name) for name in first]) or 'none'})\n"
            f"name the file's columns with `columns: {{{next(iter(missing))}: ...}}`"
        )


def _check_input(data: Data, rows: Sequence[RawRow]) -> None:
    """Raise DataError where an instruction is renamed to be the prompt, and its input would be left out."""
    if data.columns.get("prompt") != "instruction":
        return
    named = {*data.columns, *data.columns.values()}
    for column in _INPUTS:
        if column not in named and any(not is_missing(row.get(column)) for row in rows):
            raise DataError(
                f"`columns: {{prompt: instruction}}` leaves out `{column}`, which belongs to the instruction\n"
                "leave out `columns:`, so that both are read (`format: alpaca`)"
            )


def _check_settings(data: Data, rows_of: RowsOf) -> None:
    """Raise DataError for a setting that means nothing for data of this format."""
    given, kind = gives(data.format), "the program's own columns" if data.format is None else f"`{data.format}`"
    if data.pairing != "best_worst" and given != "rankings":
        raise DataError(f"`pairing` is for several rated responses to one prompt, and this is {kind}")
    if data.margins is not None and (rows_of != PREFERENCES or given == "unpaired"):
        raise DataError(f"`margins` is for pairs, and this is {kind}, read as {rows_of}")
    if data.train_on != "last" and rows_of != "demonstrations":
        raise DataError(
            f"`train_on: {data.train_on}` is for demonstrations, and these are read as {rows_of}: a pair is trained on "
            "by its two last turns, and prompts are not trained on"
        )
    if data.facts and rows_of == "demonstrations":
        raise DataError("`facts` are what is known of prompts, and nobody reads them of demonstrations")


def _check_shards(data: Data, where: str) -> None:
    """Raise DataError where the files of a folder do not have the same columns."""
    if len(data.files) < 2:
        return
    first: list[str] | None = None
    for name in data.files:
        row = next(iter(first_rows(data.model_copy(update={"files": (name,)}), where, 1)), {})
        columns = sorted(str(column) for column in row)
        if first is not None and columns != first:
            raise DataError(
                f"{where}/{name}: has the columns {some_of(columns)}, and {data.files[0]} has {some_of(first)}\n"
                "put files with other columns into a folder of their own"
            )
        first = columns


def _world_data(section: Section, path: KeyPath, value: dict[str, Any]) -> DataSpec | None:
    world = read_world(section, path, value, reserved=("world", "split", "limit"))
    limit = value.get("limit")
    right = section.field(Data, "limit", (*path, "limit"), limit)
    if world is None or not one_of(section, (*path, "split"), value, world.splits()) or not right:
        return None
    try:
        return world.data(value["split"], limit)
    except BenchError as error:
        section.refused(path, error)
        return None
