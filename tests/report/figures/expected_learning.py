"""What the pictures of training must draw, mark by mark, worked out from run.json, the records and the labellers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bench.core.metrics import DIVERGENCE, RATING
from bench.report.inputs import Inputs
from tests.report.figures.expected_results import Check, Pair
from tests.report.figures.inventory import Marks, area, interval, line, marks_of, rounded, rows_of

Log = Mapping[str, Sequence[float | None]]
LOGGED: dict[str, tuple[str, ...]] = {
    "loss": ("loss",),
    "margin in nats": ("chosen_ratio", "rejected_ratio"),
    "reward margin": ("chosen_reward", "rejected_reward"),
    "pairs ranked right": ("accuracy",),
    "reward": ("reward",),
    "KL in nats": ("kl",),
    "entropy in nats": ("entropy",),
    "clipped share": ("clip_fraction",),
    "value loss": ("value_loss",),
    "explained variance": ("explained_variance",),
    "response tokens": ("response_tokens",),
    "share without end": ("without_end",),
}
REWARD_MODELS = "train/reward_model"


def logs_of(of: Inputs, arm: str) -> list[Log]:
    """What the last stage of an arm logged that is no reward model, seed by seed."""
    keys = [run.stages for run in of.summary.arms[arm].runs.values()]
    stages = [[of.summary.stages[key] for key in some] for some in keys]
    return [[stage for stage in some if stage.kind != REWARD_MODELS][-1].log for some in stages]


def curve(log: Log, quantity: str) -> np.ndarray[Any, Any] | None:
    names = LOGGED[quantity]
    if not set(names) <= log.keys():
        return None
    columns = [np.asarray(log[name], dtype=float) for name in names]
    return np.stack([np.asarray(log["step"], dtype=float), columns[0] if len(columns) == 1 else np.subtract(*columns)])


def curves(axes: Any, logs: Sequence[Log], quantity: str) -> Pair:
    """A line per seed, their mean, and the area of their range."""
    found = [at for log in logs if (at := curve(log, quantity)) is not None]
    wanted: Marks = Counter(line(*at.T) for at in found)
    wanted.update(mean_and_range(found))
    return marks_of(axes), wanted


def mean_and_range(found: Sequence[np.ndarray[Any, Any]]) -> list[tuple[Any, ...]]:
    steps, values = found[0][0], np.stack([at[1] for at in found])
    ends = [*zip(steps, values.min(axis=0), strict=True), *zip(steps, values.max(axis=0), strict=True)]
    return [line(*zip(steps, values.mean(axis=0), strict=True)), area(ends)]


def panels(figure: Any) -> dict[tuple[str, str], Any]:
    return {(axes.get_title(loc="left"), axes.get_ylabel()): axes for axes in figure.axes if axes.axison}


def learning_curves(figure: Any, of: Inputs) -> Iterator[Pair]:
    found = panels(figure)
    quantities = list(LOGGED)[:4]
    assert set(found) == {
        (arm, name) for arm in of.summary.arms for name in quantities if curve(logs_of(of, arm)[0], name) is not None
    }
    for (arm, name), axes in found.items():
        yield curves(axes, logs_of(of, arm), name)


def earlier_stages(figure: Any, of: Inputs) -> Iterator[Pair]:
    found = panels(figure)
    logs = [stage.log for stage in of.summary.stages.values() if stage.kind == REWARD_MODELS]
    assert len(logs) == len(of.summary.seeds)
    assert set(found) == {("reward model of ppo_strict", name) for name in ("loss", "pairs ranked right")}
    for (_, name), axes in found.items():
        yield curves(axes, logs, name)


def updates(figure: Any, of: Inputs) -> Iterator[Pair]:
    arms = [arm for arm, facts in of.summary.arms.items() if facts.method == "ppo"]
    found = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert set(found) == set(list(LOGGED)[4:])
    for name, axes in found.items():
        wanted: Marks = Counter()
        for arm in arms:
            wanted.update(mean_and_range([at for log in logs_of(of, arm) if (at := curve(log, name)) is not None]))
        yield marks_of(axes), wanted


def mean_by_seed(of: Inputs, metric: str, source: str) -> dict[str, list[float]]:
    """The mean of a metric over the responses of each seed, by arm."""
    values: dict[tuple[str, int], list[float]] = {}
    for row in of.records.to_pylist():
        if (row["metric"], row["source"], row["status"]) == (metric, source, "ok"):
            values.setdefault((row["method"], row["run"]), []).append(row["value"])
    found: dict[str, list[float]] = {}
    for (arm, _), some in sorted(values.items()):
        found.setdefault(arm, []).append(float(np.mean(some)))
    return found


def nats_by_seed(of: Inputs) -> dict[str, list[float]]:
    """The divergence of every arm and seed; its bound where no more is known."""
    bounds = {arm: [bound] * len(of.summary.seeds) for arm, bound in of.summary.divergence_bounds.items()}
    return bounds | mean_by_seed(of, DIVERGENCE.name, "task")


def root(nats: float) -> float:
    return max(nats, 0.0) ** 0.5


def frontier(figure: Any, of: Inputs) -> Iterator[Pair]:
    nats = nats_by_seed(of)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["gold judge", "reward_model judge"]
    for axes, judge in zip(figure.axes, ("gold", "reward_model"), strict=True):
        ratings = mean_by_seed(of, RATING.name, judge)
        assert set(ratings) == set(nats) == set(of.summary.arms)
        middle = {arm: (root(np.mean(nats[arm])), float(np.mean(ratings[arm]))) for arm in nats}
        wanted: Marks = Counter(line(at) for at in middle.values())
        wanted.update(line(*zip(map(root, nats[arm]), ratings[arm], strict=True)) for arm in nats)
        for arms in (("ppo_strict", "ppo", "ppo_loose"), ("dpo", "dpo_loose")):
            wanted[line(*sorted(middle[arm] for arm in arms))] += 1
        yield marks_of(axes), wanted


def over_optimisation(figure: Any, of: Inputs) -> Iterator[Pair]:
    (axes,) = figure.axes
    nats, wanted = nats_by_seed(of), Counter([("y =", 0.0)])
    for judge in ("reward_model", "gold"):
        start = [
            row["value"]
            for row in of.records.to_pylist()
            if (row["metric"], row["source"], row["method"]) == (RATING.name, judge, "sft")
        ]
        ratings = mean_by_seed(of, RATING.name, judge)
        places = [(0.0, 0.0, 0.0, 0.0)]
        for arm in ("ppo_strict", "ppo", "ppo_loose"):
            gains = (np.asarray(ratings[arm]) - np.mean(start)) / np.std(start)
            places.append((root(np.mean(nats[arm])), float(gains.mean()), float(gains.min()), float(gains.max())))
        wanted.update(errors([place[:2] for place in places], [place[2:] for place in places]))
    yield marks_of(axes), wanted


def errors(at: Sequence[tuple[float, float]], ends: Sequence[Sequence[float]]) -> list[tuple[Any, ...]]:
    """A line through places, an upright interval at each, and the ends of all."""
    upright = [interval((x, low), (x, high)) for (x, _), (low, high) in zip(at, ends, strict=True)]
    caps = [line(*((x, end[side]) for (x, _), end in zip(at, ends, strict=True))) for side in (0, 1)]
    return [line(*at), *upright, *caps]


def reward_models(figure: Any, of: Inputs) -> Iterator[Pair]:
    left, right = figure.axes
    told = [of.summary.stages[f"rm-{seed}"].diagnostics["held_out"] for seed in of.summary.seeds]
    wanted: Marks = Counter([line((0.5, 0.5), (1.0, 1.0))])
    middle = []
    for bins in zip(*(one["calibration"] for one in told), strict=True):
        at = [(row["confidence"], row["accuracy"]) for row in bins]
        wanted[line(*at)] += 1
        middle.append(tuple(np.mean(at, axis=0)))
    wanted[line(*middle)] += 1
    yield marks_of(left), wanted
    beside: Marks = Counter([("y =", 0.5)])
    for place, rows in enumerate(zip(*(one["by_length"] for one in told), strict=True)):
        values = [row["value"] for row in rows]
        top, width = float(np.mean(values)), 0.94 * 0.76
        beside["bar", rounded(place - width / 2), rounded(top / 2), rounded(width), rounded(top)] += 1
        beside[line(*((float(place), value) for value in values))] += 1
    yield marks_of(right), beside


def representations(figure: Any, of: Inputs) -> Iterator[Pair]:
    told = [of.summary.stages[f"rahf-{seed}"].diagnostics["layers"] for seed in of.summary.seeds]
    for axes, name in zip(figure.axes, ("difference_norm", "cosine_to_mean", "loss"), strict=True):
        values = np.array([[row[name] for row in one] for one in told])
        at = list(zip([float(row["layer"]) for row in told[0]], values.mean(axis=0), strict=True))
        yield marks_of(axes), Counter(errors(at, list(zip(values.min(axis=0), values.max(axis=0), strict=True))))


def labellers(figure: Any, of: Inputs) -> Iterator[Pair]:
    facts = {item.judge: item for item in of.summary.labellers}
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    reasons = list(dict.fromkeys(item.settings["rationale"] for item in facts.values()))
    assert sorted(legend) == sorted(f"rationale {reason}" for reason in reasons)
    for axes, side in zip(figure.axes, ("labels", "gold"), strict=True):
        wanted: Marks = Counter([("y =", 0.5)])
        for reason in reasons:
            those = [item for item in of.conclusions.labellers if facts[item.judge].settings["rationale"] == reason]
            those.sort(key=lambda item: facts[item.judge].parameters or 0.0)
            shares = [getattr(item, side) for item in those]
            at = [(facts[item.judge].parameters or 0.0, one.share) for item, one in zip(those, shares, strict=True)]
            wanted.update(errors(at, [(one.low, one.high) for one in shares]))
        yield marks_of(axes), wanted


def token_shifts(figure: Any, of: Inputs) -> Iterator[Pair]:
    for axes, one in zip(figure.axes, of.summary.shifts, strict=True):
        assert axes.get_title(loc="left") == f"{one.arm}, {one.task}"
        drawn = [*one.raised[:10], *one.lowered[:10]]
        wanted: Marks = Counter(("bar", 0.0, token.text, token.per_thousand, 0.72) for token in drawn)
        yield marks_of(axes, rows_of(axes)), wanted + Counter([("x =", 0.0)])


LEARNING: dict[str, Check] = {
    check.__name__: check
    for check in (
        learning_curves, earlier_stages, updates, frontier, over_optimisation, reward_models, representations,
        labellers,
    )
}  # fmt: skip
