"""One judge's verdicts on one task, pair of responses by pair of responses, for what is said of the judge itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.core.errors import DataError
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.random_effects import IntArray, codes_of

BoolArray = NDArray[np.bool_]
ArmPair = tuple[str, str]


@dataclass(frozen=True)
class CrossedDesign:
    """The prompts of a task, each with the code of its cluster, and the training seeds."""

    prompts: tuple[str, ...]
    clusters: IntArray
    seeds: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of every matrix over the design."""
        return len(self.prompts), len(self.seeds)


@dataclass(frozen=True)
class Verdicts:
    """Preferences for a over b of one judge; every array has one entry per pair, prompt, seed and draw that was asked.

    ``first`` and ``second`` hold the preference where a was shown first and second, NaN where that order has no usable
    verdict; ``was_asked`` (2, entries) says which orders have a row at all, and ``statuses`` (2, entries) what became
    of it, "" without one. ``pair``, ``prompt`` and ``seed`` are places in ``pairs`` and the design.
    """

    design: CrossedDesign
    pairs: tuple[ArmPair, ...]
    pair: IntArray
    prompt: IntArray
    seed: IntArray
    draw: IntArray
    first: FloatArray
    second: FloatArray
    was_asked: BoolArray
    statuses: NDArray[np.object_]

    @property
    def preference(self) -> FloatArray:
        """The mean over the orders that were asked; NaN where one of them has no usable verdict."""
        values = np.stack([self.first, self.second])
        there = self.was_asked
        total = np.where(there, np.nan_to_num(values), 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
        return np.where((there & np.isnan(values)).any(axis=0), np.nan, total)

    @property
    def both(self) -> BoolArray:
        """Where both orders have a usable verdict."""
        return np.isfinite(self.first) & np.isfinite(self.second)

    def of_pair(self, place: int) -> Verdicts:
        """Return the verdicts on one pair of arms."""
        return self.where(self.pair == place)

    def where(self, chosen: BoolArray | IntArray) -> Verdicts:
        """Return the chosen entries, by a mask or by their places in order."""
        names = ("pair", "prompt", "seed", "draw", "first", "second")
        arrays = {name: getattr(self, name)[chosen] for name in names}
        return dataclasses.replace(
            self, **arrays, was_asked=self.was_asked[:, chosen], statuses=self.statuses[:, chosen]
        )  # fmt: skip

    def total(self, values: FloatArray | BoolArray) -> FloatArray:
        """Return the sums of entries (entries) by prompt and seed."""
        found = np.zeros(self.design.shape)
        np.add.at(found, (self.prompt, self.seed), np.asarray(values, dtype=float))
        return found

    def codes(self, draws: int) -> IntArray:
        """Return a number for each entry's pair, prompt, seed and draw, of at most so many draws; no two are equal."""
        prompts, seeds = self.design.shape
        return ((self.pair * prompts + self.prompt) * seeds + self.seed) * draws + self.draw

    def entries(self) -> list[tuple[int, int, int, int]]:
        """Return pair, prompt, seed and draw of each entry."""
        return list(
            zip(self.pair.tolist(), self.prompt.tolist(), self.seed.tolist(), self.draw.tolist(), strict=True)
        )  # fmt: skip


ORDERS = ("first", "second")


def design_of(records: pa.Table, task: str, seeds: Sequence[int]) -> CrossedDesign:
    """Return the prompts of a task that were judged, sorted; raises DataError for a prompt in two clusters."""
    rows = records.filter(pc.and_(pc.equal(records["task"], task), pc.is_valid(records["versus"])))
    pairs = sorted(set(zip(rows["prompt"].to_pylist(), rows["cluster"].to_pylist(), strict=True)))
    found = dict(pairs)
    if len(found) < len(pairs):
        raise DataError(f"records: a prompt of task {task} is in two clusters. Run the evaluation again.")
    return CrossedDesign(tuple(found), codes_of(list(found.values())), tuple(dict.fromkeys(seeds)))


def verdicts_of(rows: pa.Table, design: CrossedDesign, pairs: Sequence[ArmPair]) -> Verdicts:
    """Return one judge's rows on one task as arrays; those of other pairs, prompts and seeds are left out."""
    place = {pair: number for number, pair in enumerate(pairs)}
    at_prompt = {prompt: number for number, prompt in enumerate(design.prompts)}
    at_seed = {seed: number for number, seed in enumerate(design.seeds)}
    methods, others, names, seeds = (rows[name].to_pylist() for name in ("method", "versus", "prompt", "run"))
    where = np.asarray(
        [
            [place.get(pair, -1) for pair in zip(methods, others, strict=True)],
            [at_prompt.get(name, -1) for name in names],
            [at_seed.get(seed, -1) for seed in seeds],
            rows["draw"].to_pylist(),
        ],
        dtype=np.int64,
    ).reshape(4, -1)
    known = (where[:3] >= 0).all(axis=0)
    # Sorted, so that neither sums nor their rounding depend on the order of the rows.
    pair, prompt, seed, draw = where[:, known]
    sizes = (len(design.prompts), len(design.seeds), 1 + int(draw.max(initial=0)))
    codes = ((pair * sizes[0] + prompt) * sizes[1] + seed) * sizes[2] + draw
    _, one_of, at = np.unique(codes, return_index=True, return_inverse=True)
    kept = [column[one_of] for column in (pair, prompt, seed, draw)]
    which = np.asarray([ORDERS.index(order) for order in rows["order"].to_pylist()], dtype=np.int64)[known]
    values = np.full((2, len(one_of)), np.nan)
    asked = np.zeros(values.shape, dtype=bool)
    statuses = np.full(values.shape, "", dtype=object)
    values[which, at] = rows["value"].to_numpy(zero_copy_only=False)[known]
    asked[which, at] = True
    statuses[which, at] = np.asarray(rows["status"].to_pylist(), dtype=object)[known]
    return Verdicts(
        design, tuple(pairs), kept[0], kept[1], kept[2], kept[3], values[0], values[1], asked, statuses
    )  # fmt: skip
