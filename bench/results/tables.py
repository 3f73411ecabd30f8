"""A table that a run leaves beside its comparison file: its name, its schema, how it is written and read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.core.errors import DataError
from bench.core.files import refuse_endless, replacing
from bench.results.documents import RUN_AGAIN
from bench.results.strict_json import printable_line


def anything(_table: pa.Table, _where: str) -> None:
    """Refuse nothing: the schema is all that is asked of a table."""


@dataclass(frozen=True)
class TableFile:
    """A Parquet file of a run, with one schema and one order of its rows.

    ``keys``: the columns that it is sorted by. ``check(table, where)`` raises DataError for rows that contradict
    themselves. ``required``: no run is without it.
    """

    name: str
    schema: pa.Schema
    keys: tuple[str, ...]
    check: Callable[[pa.Table, str], None] = anything
    required: bool = False

    def path(self, folder: Path) -> Path:
        """Return where the file lies in a results folder."""
        return folder / self.name

    def write(self, table: pa.Table, folder: Path) -> None:
        """Write the table in canonical order, without anything that differs between equal tables."""
        with replacing(self.path(folder)) as partial:
            pq.write_table(self.in_order(table), partial, compression="zstd", write_statistics=False)

    def in_order(self, table: pa.Table) -> pa.Table:
        """Return the table in the schema and the order in which it is written."""
        return table.cast(self.schema).sort_by([(name, "ascending") for name in self.keys])

    def concat(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Return all rows of the tables; an empty sequence gives an empty table."""
        return pa.concat_tables(tables) if tables else self.schema.empty_table()

    def read(self, folder: Path) -> pa.Table:
        """Return the table of a results folder, an empty one where a run may be without the file and is.

        Raises DataError where a required file is not there, for other columns, and for rows that ``check`` refuses.
        """
        found = self.find(folder)
        if found is None and self.required:
            raise DataError(f"{self.path(folder)} is not there. Run `bench run {folder}` first.")
        return self.schema.empty_table() if found is None else found

    def find(
        self, folder: Path, prompts: Collection[str] | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table | None:  # fmt: skip
        """Return the table of a results folder, None where there is no file.

        ``prompts``: only the rows on those. ``columns``: only these. Raises DataError, with the command that makes the
        file, for a file that this version does not read, and for rows that ``check`` refuses.
        """
        path = self.path(folder)
        if not path.exists():
            return None
        again = RUN_AGAIN.format(folder=folder)
        try:
            refuse_endless(path)
            self._check_schema(pq.read_schema(path))
            filters = None if prompts is None else [("prompt", "in", sorted(prompts))]
            table = pq.read_table(path, columns=None if columns is None else list(columns), filters=filters)
            fields = [self.schema.field(name) for name in table.schema.names]
            table = table.cast(self.schema if columns is None else pa.schema(fields))
            table.validate(full=True)
            _check_finite(table)
        except OSError as error:
            reason = error.strerror or str(error)
        except (pa.ArrowException, ValueError) as error:
            reason = str(error)
        else:
            if columns is None:
                self._check_rows(table, path, again)
            return table
        raise DataError(f"{path}: not a table that this version reads ({printable_line(reason)}). {again}")

    def _check_rows(self, table: pa.Table, path: Path, again: str) -> None:
        """Raise DataError for rows that contradict themselves, with the command that makes the file again."""
        try:
            self.check(table, str(path))
        except DataError as error:
            raise DataError(f"{printable_line(str(error), most=400)}. {again}") from error

    def _check_schema(self, found: pa.Schema) -> None:
        """Raise ValueError for other columns, or another version of them, than the schema's."""
        if found.names != self.schema.names:
            raise ValueError(f"columns {', '.join(found.names)}; wanted {', '.join(self.schema.names)}")
        for name, version in (self.schema.metadata or {}).items():
            there = (found.metadata or {}).get(name, version)
            if there != version:
                now, then = version.decode(), there.decode(errors="replace")
                raise ValueError(f"version {then} of its columns, and this program reads version {now}")


def _check_finite(table: pa.Table) -> None:
    """Raise ValueError where a number is none: a value that was not measured is null."""
    for field in table.schema:
        if pa.types.is_floating(field.type):
            finite = pc.all(pc.is_finite(table[field.name])).as_py()
            if finite is False:
                raise ValueError(f"column {field.name} has a value that is no number")
