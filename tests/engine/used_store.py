"""A store with artefacts, and comparisons beside it that use some of them, made without computing anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.core.frozen import digest
from bench.engine.execute import execute
from bench.engine.store import Store
from bench.results.lock import LOCK
from tests.fakes import Number

ROOT = Path(__file__).resolve().parents[2]


def number(value: int) -> Number:
    """A stage that no test computes anew: its journal is not written to where it is found."""
    return Number(value=value, journal="/dev/null")


def with_numbers(root: Path, count: int) -> Store:
    """Return a store below a folder of comparisons that holds so many stages."""
    store = Store(root / "results" / ".store")
    for value in range(count):
        execute(number(value), store, "cpu", lambda _progress: None, lambda _damage: None)
    return store


def comparison_beside(store: Store, name: str) -> Path:
    """Return the file of a comparison beside a store."""
    file = store.root.parent / name / "comparison.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("question: which?\n", encoding="utf-8")
    return file


def results_that_rest_on(file: Path, values: Sequence[int]) -> None:
    """Write the lock of a run of a comparison that had these stages, as a run before there were records left it."""
    lock = LOCK.read(ROOT / "results" / "quickstart")
    stages = {number(value).key: "test/number" for value in values}
    LOCK.write(lock.model_copy(update={"stages": stages}), file.parent)


def stored(store: Store, count: int) -> list[int]:
    """Return which of so many stages are in a store, each of them whole."""
    fresh = Store(store.root)
    return [value for value in range(count) if fresh.find(number(value)) is not None]


def odd_key(text: str) -> str:
    """Return the key of a stage that nobody knows."""
    return digest(text)
