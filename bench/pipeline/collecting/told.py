"""What a training stage told of itself: its log, thinned, and its diagnostics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bench.core.stage import DIAGNOSTICS_FILE, LOG_FILE

T = TypeVar("T")
LOG_ROWS = 100


def told_by(folder: Path) -> dict[str, Any]:
    """Return the log of a stage by column, thinned, and its diagnostics, as far as it wrote any; short numbers."""
    log, diagnostics = folder / LOG_FILE, folder / DIAGNOSTICS_FILE
    found: dict[str, Any] = {}
    if log.is_file():
        rows = [json.loads(line) for line in log.read_text(encoding="utf-8").split("\n") if line]
        kept = thinned(rows, LOG_ROWS)
        names = dict.fromkeys(name for row in kept for name, value in row.items() if isinstance(value, int | float))
        found["log"] = {name: tuple(short(row.get(name)) for row in kept) for name in names}
    if diagnostics.is_file():
        found["diagnostics"] = short(json.loads(diagnostics.read_text(encoding="utf-8")))
    return found


def thinned(rows: Sequence[T], most: int) -> list[T]:
    """Return at most that many rows, evenly chosen, the first and the last among them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(place * (len(rows) - 1) / (most - 1))] for place in range(most)]


def short(value: Any) -> Any:
    """Return a JSON value whose numbers have at most six significant digits."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {name: short(item) for name, item in value.items()}
    return [short(item) for item in value] if isinstance(value, list) else value
