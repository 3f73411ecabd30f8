"""KTO on responses that are labelled each on its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.core.datasets import read_unpaired
from bench.core.errors import BenchError
from bench.core.method import Given
from bench.core.policy import Tuned
from methods.dpo import DPO
from methods.kto import KTO, TrainKTO, TrainLabelledKTO
from methods.orpo import ORPO
from tests.methods.tiny import PREFERENCES, Bench, data, log

LABELLED = [
    {"prompt": row["prompt"], "completion": row["chosen" if good else "rejected"], "label": good}
    for number, row in enumerate(PREFERENCES)
    for good in ([True, False] if number % 2 else [True])
]


@pytest.fixture
def labelled(given: Given, tmp_path: Path) -> Given:
    rows = data(tmp_path / "labelled.jsonl", LABELLED, format="unpaired")
    return given.model_copy(update={"preferences": rows, "demonstrations": None})


def test_unbalanced_labels_are_learnt_from(labelled: Given, bench: Bench) -> None:
    rows = read_unpaired(labelled.preferences, bench.io())  # type: ignore[arg-type]
    assert (len(rows), sum(row.good for row in rows)) == (12, 8)
    policy = KTO(lr=1e-2, epochs=4, batch_size=12, desirable_weight=2.0).policy(labelled)
    assert isinstance(policy, Tuned) and isinstance(policy.by, TrainLabelledKTO)
    io = bench.run(policy.by)
    lines = log(io.out)
    # Before the first step every ratio and z are 0, so each response loses half of its weight (equation 8).
    assert lines[0]["loss"] == pytest.approx((8 * 2.0 + 4 * 1.0) / 2 / 12, abs=1e-6)
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert lines[-1]["accuracy"] > 0.6
    assert json.loads((io.out / "diagnostics.json").read_text(encoding="utf-8"))["labels"] == {"good": 8, "bad": 4}


def test_the_first_step_is_that_of_the_same_pairs(given: Given, bench: Bench, tmp_path: Path) -> None:
    """With z = 0 the mean over pairs of both responses' mean is the mean over all responses."""
    rows = [
        {"prompt": row["prompt"], "completion": row[name], "label": name == "chosen"}
        for row in PREFERENCES
        for name in ("chosen", "rejected")
    ]
    apart = given.model_copy(update={"preferences": data(tmp_path / "apart.jsonl", rows, format="unpaired")})
    norms = []
    for what, size in ((given, 8), (apart, 16)):
        without = what.model_copy(update={"demonstrations": None})
        policy = KTO(epochs=1, batch_size=size).policy(without)
        assert isinstance(policy, Tuned)
        (line,) = log(bench.run(policy.by).out)
        norms.append((line["loss"], line["grad_norm"]))
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)


def test_pairs_are_trained_on_as_before(given: Given) -> None:
    policy = KTO().policy(given)
    assert isinstance(policy, Tuned) and type(policy.by) is TrainKTO


@pytest.mark.parametrize("method", [DPO(), ORPO()])
def test_other_methods_refuse_labels_in_a_line(method: DPO | ORPO, labelled: Given) -> None:
    with pytest.raises(BenchError, match="labels each response on its own.*kto") as caught:
        method.policy(labelled)
    assert "\n" not in str(caught.value)


def test_one_label_alone_is_refused(given: Given, tmp_path: Path) -> None:
    rows = [{**row, "label": 1} for row in LABELLED]
    only = given.model_copy(update={"preferences": data(tmp_path / "good.jsonl", rows, format="unpaired")})
    with pytest.raises(BenchError, match="all 12 responses of given.preferences are labelled good"):
        KTO().policy(only)
