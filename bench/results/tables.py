"""A table that a run leaves beside its comparison file: its name, its schema, how it is written and read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.errors import DataError
from bench.core.files import replacing


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

        ``prompts``: only the rows on those. ``columns``: only these. Raises DataError for other columns than the
        schema's, and for rows that ``check`` refuses.
        """
        path = self.path(folder)
        if not path.is_file():
            return None
        names = pq.read_schema(path).names
        if names != self.schema.names:
            raise DataError(f"{path}: columns {names}, wanted {self.schema.names}. Run `bench run {folder}` again.")
        filters = None if prompts is None else [("prompt", "in", sorted(prompts))]
        table = pq.read_table(path, columns=None if columns is None else list(columns), filters=filters)
        table = table.cast(self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns]))
        if columns is None:
            self.check(table, str(path))
        return table
