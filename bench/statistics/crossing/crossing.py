"""From rows to a complete prompt x seed matrix of paired values for one pair of arms."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.core.errors import DataError, IncompleteRecords
from bench.core.metrics import WIN_RATE
from bench.results.records import TASK_SOURCE, TOO_LONG, RecordStatus
from bench.statistics.crossing.failed_calls import filled
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.random_effects import IntArray, codes_of

# States of a cell's row: ABSENT, or 1 + the place of its status.
ABSENT = 0
STATES = {status: 1 + place for place, status in enumerate(get_args(RecordStatus))}
OK, UNDEFINED, UNREAD = STATES["ok"], STATES["undefined"], STATES[TOO_LONG]
# What is known of a cell without a value is known for good: there is nothing to be computed again.
SETTLED = (OK, UNDEFINED, UNREAD)
# A judge was asked and gave nothing usable. This share of its calls may be so before nothing is concluded from it.
JUDGE_FAILED = tuple(STATES[status] for status in ("unparsed", "refused", "error"))
MOST_JUDGE_FAILED = 0.05
WORDS = ("absent", *STATES)
# How many missing cells an error spells out.
SHOWN = 8

Key: TypeAlias = tuple[int, str | None]
RecordGroup: TypeAlias = tuple[str, str, str, str, str | None]


@dataclass(frozen=True)
class Request:
    """Which pair on which metric. ``source`` is ``task`` or a judge's name; ``seeds`` are the training seeds."""

    a: str
    b: str
    task: str
    metric: str
    source: str
    seeds: tuple[int, ...]


def few_failed(failed: int, calls: int) -> bool:
    """Return whether a judge failed on few enough of its calls for the rest to be concluded from."""
    return failed <= MOST_JUDGE_FAILED * calls


@dataclass(frozen=True)
class Crossing:
    """A complete crossing of prompts and seeds.

    ``values`` (prompts, seeds): the preference for a over b for the win rate, else the difference a - b; a cell is the
    mean over draws and, for verdicts, both orders. ``a_values`` and ``b_values`` are each arm's cells (None for the
    win rate). ``drawn`` (prompts, seeds, draws) holds what ``values`` averages over draws. ``first`` and ``second``, of
    that shape, are the preferences for a when shown first and second, None unless both orders are there. ``dropped``
    prompts were incomplete (``judge_failed`` of them because the judge gave nothing usable) and ``undefined`` ones have
    a cell in which the metric is not defined; ``too_long`` ones were longer than a model that had to read them can
    read. None of these is in ``values``. ``calls`` is how often the judge was asked, ``failed_calls`` how often it gave
    nothing usable, and ``filled_calls`` how many of these stand in ``values`` by the prompt's other values
    (``bench.statistics.crossing.failed_calls``). Prompts are sorted by id. ``untestable`` says why nothing can be
    tested, where the values are estimates without an error.
    """

    prompts: tuple[str, ...]
    clusters: IntArray
    values: FloatArray
    a_values: FloatArray | None = None
    b_values: FloatArray | None = None
    drawn: FloatArray | None = None
    first: FloatArray | None = None
    second: FloatArray | None = None
    dropped: int = 0
    judge_failed: int = 0
    undefined: int = 0
    too_long: int = 0
    calls: int = 0
    failed_calls: int = 0
    filled_calls: int = 0
    untestable: str | None = None

    @property
    def is_unusable(self) -> bool:
        """Whether the judge failed so often that nothing is concluded from what is left."""
        return not few_failed(self.failed_calls, self.calls)

    @property
    def left_out(self) -> int:
        """How many prompts are not in ``values``."""
        return self.dropped + self.undefined + self.too_long


@dataclass(frozen=True)
class _Cells:
    """One arm's values (prompts, seeds, keys) and their states; a key is a draw and an order."""

    arm: str
    keys: tuple[Key, ...]
    values: FloatArray
    states: NDArray[np.int8]


@dataclass(frozen=True)
class _Universe:
    """Every prompt with its cluster, sorted, and every (draw, order), of one task, metric and source."""

    prompts: dict[str, str]
    keys: tuple[Key, ...]


class RecordIndex:
    """The records table split by (task, metric, source, method, versus), read once for all contrasts."""

    def __init__(self, table: pa.Table) -> None:
        self._text = {name: _decoded(*_encoded(table[name])) for name in ("prompt", "cluster", "status", "order")}
        self._seed = np.asarray(table["run"].to_numpy(), dtype=np.int64)
        self._draw = np.asarray(table["draw"].to_numpy(), dtype=np.int64)
        self._value = np.asarray(table["value"].fill_null(0.0).to_numpy(), dtype=float)
        self._rows = _grouped([_encoded(table[name]) for name in ("task", "metric", "source", "method", "versus")])
        self._universes: dict[tuple[str, str, str], _Universe] = {}

    def sources(self, task: str, metric: str) -> tuple[str, ...]:
        """Return who produced values of this metric on this task, sorted."""
        return tuple(sorted({group[2] for group in self._rows if group[:2] == (task, metric)}))

    def metrics(self, task: str) -> tuple[str, ...]:
        """Return the metrics with values on this task, sorted, without the win rate."""
        return tuple(sorted({group[1] for group in self._rows if group[0] == task} - {WIN_RATE.name}))

    def universe(self, request: Request) -> _Universe:
        """Return the prompts, and the draws and orders, that any arm has a row of this metric for.

        Raises DataError for a prompt in two clusters.
        """
        wanted = (request.task, request.metric, request.source)
        if wanted not in self._universes:
            groups = [rows for group, rows in self._rows.items() if group[:3] == wanted]
            rows = np.concatenate(groups) if groups else np.asarray([], dtype=int)
            pairs = set(zip(self._text["prompt"][rows].tolist(), self._text["cluster"][rows].tolist(), strict=True))
            prompts = dict(sorted(pairs))
            if len(prompts) < len(pairs):
                twice = next(prompt for prompt, cluster in sorted(pairs) if prompts[prompt] != cluster)
                raise DataError(
                    f"records: prompt {twice!r} of task {request.task} is in two clusters. "
                    "A prompt belongs to one cluster: run the evaluation again."
                )
            keys = set(zip(self._draw[rows].tolist(), self._text["order"][rows].tolist(), strict=True))
            self._universes[wanted] = _Universe(prompts, tuple(sorted(keys, key=lambda key: (key[0], key[1] or ""))))
        return self._universes[wanted]

    def has_pair(self, request: Request) -> bool:
        """Return whether there are verdicts with a as the method and b as the other."""
        return (request.task, request.metric, request.source, request.a, request.b) in self._rows

    def cells(self, request: Request, arm: str, versus: str | None) -> _Cells:
        """Return one arm's cells on all prompts; raises DataError for two rows of one cell and key."""
        universe = self.universe(request)
        rows = self._rows.get((request.task, request.metric, request.source, arm, versus), np.asarray([], dtype=int))
        rows = rows[np.isin(self._seed[rows], request.seeds)]
        keys: list[Key] = list(zip(self._draw[rows].tolist(), self._text["order"][rows].tolist(), strict=True))
        shape = (len(universe.prompts), len(request.seeds), max(1, len(universe.keys)))
        values, states = np.zeros(shape), np.zeros(shape, dtype=np.int8)
        at_prompt = {prompt: i for i, prompt in enumerate(universe.prompts)}
        at_seed = {seed: i for i, seed in enumerate(request.seeds)}
        at_key = {key: i for i, key in enumerate(universe.keys)}
        where = (
            np.asarray([at_prompt[prompt] for prompt in self._text["prompt"][rows]], dtype=int),
            np.asarray([at_seed[seed] for seed in self._seed[rows].tolist()], dtype=int),
            np.asarray([at_key[key] for key in keys], dtype=int),
        )
        if len(np.unique(np.ravel_multi_index(where, shape))) < len(rows):
            raise DataError(
                f"records: two rows for one prompt, run, draw and order of {request.metric} ({request.source}) for "
                f"{arm} on {request.task}. Run the evaluation again."
            )
        values[where] = self._value[rows]
        states[where] = [STATES[status] for status in self._text["status"][rows]]
        return _Cells(arm, universe.keys, values, states)


def _encoded(column: pa.ChunkedArray) -> tuple[IntArray, list[str | None]]:
    """Return for each row the place of its text among the column's distinct texts, and these, each in memory once."""
    whole = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return whole.indices.to_numpy(zero_copy_only=False).astype(np.int64), whole.dictionary.to_pylist()


def _decoded(places: IntArray, texts: list[str | None]) -> NDArray[np.object_]:
    """Return the rows' texts."""
    return np.asarray([*texts, None], dtype=object)[places]


def _grouped(columns: list[tuple[IntArray, list[str | None]]]) -> dict[RecordGroup, IntArray]:
    """Return the rows of each distinct combination of texts, in order."""
    codes = np.zeros(len(columns[0][0]), dtype=np.int64)
    for places, texts in columns:
        codes = codes * max(1, len(texts)) + places
    order = np.argsort(codes, kind="stable")
    if not len(order):
        return {}
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    groups = np.split(order, starts[1:])
    named = {_named([texts[places[rows[0]]] for places, texts in columns]): rows for rows in groups}
    return dict(sorted(named.items(), key=lambda item: int(item[1][0])))


def _named(texts: list[str | None]) -> RecordGroup:
    task, metric, source, method, versus = texts
    return task or "", metric or "", source or "", method or "", versus


def cells(
    index: RecordIndex,
    request: Request,
    missing: Literal["refuse", "drop_prompts"] = "refuse",
    undefined: Literal["leave_out", "zero"] = "leave_out",
) -> Crossing:
    """Return the paired matrix of one request.

    A cell is complete when each of its draws (and orders) has an ``ok`` row; which draws and orders there should be
    is read from all cells together. A cell with status ``undefined`` is one in which the metric does not exist (no
    claim to be wrong about): its prompt leaves this metric in either setting and is counted; with ``undefined`` set to
    ``zero`` it stays, for sums to which such a cell adds nothing. A prompt with a cell of status ``too_long`` is left
    out of either arm and counted: only what both arms could read is compared. Where a judge failed on at most
    MOST_JUDGE_FAILED of its calls, a failed one is filled from the prompt's others (``filled``), and a prompt that has
    none to fill it from is dropped and counted. Where it failed more often, no prompt is kept (``is_unusable``), or
    with ``drop_prompts`` those on which it never failed. Anything else missing raises IncompleteRecords, or drops the
    prompt when ``missing`` is ``drop_prompts``.

    Verdicts are looked for as (a, versus b), then as (b, versus a) with the preference turned round.
    """
    prompts = index.universe(request).prompts
    if request.metric == WIN_RATE.name:
        turned = not index.has_pair(request) and index.has_pair(_turned(request))
        arm, versus = (request.b, request.a) if turned else (request.a, request.b)
        sides = [index.cells(request, arm, versus)]
    else:
        turned = False
        sides = [index.cells(request, arm, None) for arm in (request.a, request.b)]
    calls = _calls(request, sides)
    if calls.few_failed:
        sides = list(map(_with_filled, sides, calls.failures))
    not_defined, unread = np.zeros(len(prompts), dtype=bool), np.zeros(len(prompts), dtype=bool)
    complete, answered = np.full(len(prompts), bool(prompts)), np.full(len(prompts), request.source != TASK_SOURCE)
    for side in sides:
        there = np.isin(side.states, SETTLED)
        unread |= (side.states == UNREAD).any(axis=(1, 2))
        not_defined |= (side.states == UNDEFINED).any(axis=(1, 2))
        complete &= there.all(axis=(1, 2))
        answered &= (there | np.isin(side.states, JUDGE_FAILED)).all(axis=(1, 2))
    judge_failed = answered & ~complete
    if missing == "refuse" and not ((complete | judge_failed).all() and prompts):
        raise IncompleteRecords(_describe(request, sides, list(prompts)))
    if missing == "refuse" and not calls.few_failed:
        complete = np.zeros_like(complete)
    read = complete & ~unread
    keep = read & ~not_defined if undefined == "leave_out" else read
    names = [name for name, kept in zip(prompts, keep, strict=True) if kept]
    crossing = _pair(sides, keep, turned)
    return Crossing(
        prompts=tuple(names),
        clusters=codes(prompts[name] for name in names),
        dropped=int((~complete).sum()),
        judge_failed=int(judge_failed.sum()),
        undefined=int((read & ~keep).sum()),
        too_long=int((complete & unread).sum()),
        calls=calls.made,
        failed_calls=calls.failed,
        filled_calls=calls.failed - _calls(request, sides).failed,
        **crossing,
    )


@dataclass(frozen=True)
class _Calls:
    """How often a judge was asked for the values of some arms, how often it gave nothing usable, and where."""

    made: int
    failures: tuple[NDArray[np.bool_], ...]

    @property
    def failed(self) -> int:
        return sum(int(where.sum()) for where in self.failures)

    @property
    def few_failed(self) -> bool:
        return few_failed(self.failed, self.made)


def _calls(request: Request, sides: list[_Cells]) -> _Calls:
    """Return a judge's calls, of which there are none where no judge gives the values."""
    if request.source == TASK_SOURCE:
        return _Calls(0, tuple(np.zeros(side.states.shape, dtype=bool) for side in sides))
    made = sum(int(np.isin(side.states, (OK, UNDEFINED, *JUDGE_FAILED)).sum()) for side in sides)
    return _Calls(made, tuple(np.isin(side.states, JUDGE_FAILED) for side in sides))


def _with_filled(side: _Cells, failed: NDArray[np.bool_]) -> _Cells:
    """Return one arm's cells with the failed calls filled where the prompt has other values in the same order."""
    found = filled(side.values, side.states == OK, failed, [order or "" for _, order in side.keys])
    states = np.where(failed & np.isfinite(found), OK, side.states).astype(np.int8)
    return dataclasses.replace(side, values=np.nan_to_num(found), states=states)


def codes(labels: Iterable[str]) -> IntArray:
    """Return one code 0..C-1 per label."""
    return codes_of(np.asarray(list(labels), dtype=str))


def _turned(request: Request) -> Request:
    return Request(request.b, request.a, request.task, request.metric, request.source, request.seeds)


def _pair(sides: list[_Cells], keep: NDArray[np.bool_], turned: bool) -> dict[str, Any]:
    if len(sides) == 2:
        a, b = (side.values[keep] for side in sides)
        mean_a, mean_b = a.mean(axis=2), b.mean(axis=2)
        return {"values": mean_a - mean_b, "a_values": mean_a, "b_values": mean_b, "drawn": a - b}
    verdicts = sides[0].values[keep]
    verdicts = 1 - verdicts if turned else verdicts
    draw_of = codes(str(draw) for draw, _ in sides[0].keys)
    by_draw = [verdicts[..., draw_of == draw].mean(axis=2) for draw in range(int(draw_of.max(initial=-1)) + 1)]
    found = {"values": verdicts.mean(axis=2)}
    if by_draw:
        found["drawn"] = np.stack(by_draw, axis=2)
    shown = np.asarray([order or "" for _, order in sides[0].keys])
    draws = {order: {draw for draw, at in sides[0].keys if at == order} for order in ("first", "second")}
    if draws["first"] and draws["first"] == draws["second"]:
        here, there = ("second", "first") if turned else ("first", "second")
        found["first"], found["second"] = verdicts[..., shown == here], verdicts[..., shown == there]
    return found


def _describe(request: Request, sides: list[_Cells], prompts: list[str]) -> str:
    """Return which cells are missing, by arm and seed, with a few prompts each."""
    against = f" against {request.b}" if request.metric == WIN_RATE.name else ""
    head = f"incomplete records: {request.metric} ({request.source}) on task {request.task}"
    if not prompts:
        return f"{head}: no rows at all for any arm"
    lines = [
        f"{arm}, run {seed}: {line}"
        for side in sides
        for arm in [f"{request.a}{against}" if against else side.arm]
        for seed, states in zip(request.seeds, np.moveaxis(side.states, 1, 0), strict=True)
        if (line := _missing_in(states, prompts))
    ]
    shown = lines[:SHOWN] + ([f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])
    return "\n    ".join([head, *shown])


def _missing_in(states: NDArray[np.int8], prompts: list[str]) -> str:
    """Return how many prompts of one seed are missing, with the status of the first few; empty when none is."""
    bad = ~np.isin(states, SETTLED)
    places = np.flatnonzero(bad.any(axis=1))
    if not len(places):
        return ""
    named = [f"{prompts[i]} {WORDS[states[i][bad[i]][0]]}" for i in places[:3]]
    more = ", ..." if len(places) > 3 else ""
    return f"{len(places)} of {len(prompts)} prompts ({', '.join(named)}{more})"
