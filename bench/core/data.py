"""Data as values: a file whose digest is known, or what a stage made."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from bench.core.frozen import Frozen
from bench.core.stage import Stage


class Data(Frozen):
    """Rows of a local file (JSON Lines, JSON, Parquet or CSV, ``.gz`` allowed), identified by the digest of its bytes.

    ``columns`` renames: the program's column name (prompt, response, chosen, rejected) to the file's. None leaves a
    column unread that rows need not have (probability, margin, kind, facts).
    """

    kind: Literal["file"] = "file"
    path: str
    digest: str
    columns: dict[str, str | None] = {}
    limit: PositiveInt | None = None

    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})


class Made(Frozen):
    """Rows that a stage wrote as ``rows.jsonl`` in its payload."""

    kind: Literal["made"] = "made"
    by: Stage
    limit: PositiveInt | None = None


DataSpec = Annotated[Data | Made, Field(discriminator="kind")]
