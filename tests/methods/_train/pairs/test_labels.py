"""Soft labels and margins: one rule for every method that reads pairs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from bench.core.data import Data, Made
from bench.core.datasets import Preference, read_demonstrations, read_preferences
from bench.core.errors import BenchError, DataError, StageError
from bench.core.method import Given, Method
from bench.core.policy import Instructed, Message, Tuned
from methods._train.pairs.labels import PairLabels, as_labels, expected_loss, in_order
from methods._train.pairs.logprobs import PairLogprobs
from methods._train.representations.sides import side_of
from methods._train.rewards.train import preference_loss
from methods._train.settings import RewardModelSettings
from methods.cdpo import CDPO, cdpo_loss
from methods.dpo import DPO, dpo_loss
from methods.hinge import Hinge, hinge_loss
from methods.hir import HIR
from methods.ipo import IPO, ipo_loss
from methods.kto import KTO, kto_losses
from methods.orpo import ORPO, orpo_loss
from methods.rahf import RAHF
from methods.rdpo import RDPO, rdpo_loss
from methods.sft import SFT
from methods.simpo import SimPO, simpo_loss
from tests.methods.tiny import DEMONSTRATIONS, PREFERENCES, Bench, data, log, pretrained

Loss = Callable[[PairLogprobs, PairLogprobs, Tensor], Tensor]
BETA, RATE = 0.5, 0.1
ZERO = torch.zeros((), dtype=torch.float64)


def pairs(chosen: Tensor, rejected: Tensor) -> PairLogprobs:
    return PairLogprobs(chosen, rejected, torch.ones_like(chosen), torch.ones_like(rejected))


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def minimum(loss: Loss, probability: float, margin: float = 0.0) -> float:
    """h at the least expected loss of one pair, whose reference prefers its rejected response by two nats."""
    h = torch.linspace(-12, 12, 48_001, dtype=torch.float64)
    label = PairLabels(torch.full_like(h, probability), torch.full_like(h, margin), soft=probability != 1)
    frozen = pairs(torch.full_like(h, -4.0), torch.full_like(h, -2.0))
    losses = expected_loss(loss, pairs(-4.0 + h, torch.full_like(h, -2.0)), frozen, label)
    return float(h[losses.argmin()])


def logit(p: float) -> float:
    return math.log(p / (1 - p))


SOFT = [0.2, 0.35, 0.5, 0.8]


@pytest.mark.parametrize("p", SOFT)
def test_dpo_ends_at_the_log_odds_of_the_label(p: float) -> None:
    assert minimum(lambda a, b, m: dpo_loss(a, b, BETA, m), p) == pytest.approx(logit(p) / BETA, abs=1e-3)
    assert minimum(lambda a, b, m: dpo_loss(a, b, BETA, m), p, 1.5) == pytest.approx((logit(p) + 1.5) / BETA, abs=1e-3)


@pytest.mark.parametrize("p", SOFT)
def test_ipo_ends_at_the_target_of_its_paper(p: float) -> None:
    found = minimum(lambda a, b, _m: ipo_loss(a, b, BETA, "sum"), p)
    assert found == pytest.approx((2 * p - 1) / (2 * BETA), abs=1e-3)


@pytest.mark.parametrize("p", SOFT)
def test_cdpo_flips_the_soft_label(p: float) -> None:
    smoothed = p * (1 - RATE) + (1 - p) * RATE
    found = minimum(lambda a, b, _m: cdpo_loss(a, b, BETA, RATE), p)
    assert found == pytest.approx(logit(smoothed) / BETA, abs=1e-3)


@pytest.mark.parametrize("p", [0.2, 0.35, 0.5, 0.8])
def test_rdpo_takes_the_flips_out_of_the_soft_label(p: float) -> None:
    true = (p - RATE) / (1 - 2 * RATE)
    assert minimum(lambda a, b, _m: rdpo_loss(a, b, BETA, RATE), p) == pytest.approx(logit(true) / BETA, abs=1e-3)


@pytest.mark.parametrize("p", [0.2, 0.35, 0.8])
def test_hinge_ends_at_the_edge_of_the_likelier_order(p: float) -> None:
    edge = math.copysign(1 / BETA, p - 0.5)
    assert minimum(lambda a, b, m: hinge_loss(a, b, BETA, m), p) == pytest.approx(edge, abs=1e-3)
    if p > 0.5:
        assert minimum(lambda a, b, m: hinge_loss(a, b, BETA, m), p, 0.7) == pytest.approx(1.7 / BETA, abs=1e-3)


@pytest.mark.parametrize("p", SOFT)
def test_a_reward_model_has_the_same_rule(p: float) -> None:
    chosen, rejected, margin = numbers(1.5, -2.0), numbers(0.3, 0.4), numbers(0.5, 0.0)
    label = PairLabels(torch.full_like(chosen, p), margin, soft=True)
    rule = expected_loss(
        lambda one, _other, m: preference_loss(one.chosen, one.rejected, torch.ones_like(m), m),
        pairs(chosen, rejected),
        pairs(chosen, rejected),
        label,
    )
    torch.testing.assert_close(rule, preference_loss(chosen, rejected, label.probability, margin))


HARD: dict[str, Loss] = {
    "dpo": lambda a, b, m: dpo_loss(a, b, BETA, m),
    "cdpo": lambda a, b, _m: cdpo_loss(a, b, BETA, RATE),
    "rdpo": lambda a, b, _m: rdpo_loss(a, b, BETA, RATE),
    "hinge": lambda a, b, m: hinge_loss(a, b, BETA, m),
    "ipo": lambda a, b, _m: ipo_loss(a, b, BETA, "mean"),
    "kto": lambda a, b, _m: sum(kto_losses(a, b, ZERO + 0.3, BETA), ZERO),
    "orpo": lambda a, _b, _m: orpo_loss(a, 0.4),
    "simpo": lambda a, _b, _m: simpo_loss(a, 2.0, 1.0),
}


@pytest.mark.parametrize("name", HARD)
def test_certain_labels_are_the_hard_losses_of_either_order(name: str) -> None:
    loss = HARD[name]
    policy, frozen = pairs(numbers(-3, -1), numbers(-2, -4)), pairs(numbers(-1, -2), numbers(-1.5, -3))
    margin = numbers(0.4, 0.0)
    sure = PairLabels(numbers(1, 1), margin, soft=False)
    assert torch.equal(expected_loss(loss, policy, frozen, sure), loss(policy, frozen, margin))
    mixed = PairLabels(numbers(1, 0), margin, soft=True)
    found = expected_loss(loss, policy, frozen, mixed)
    assert found[0] == loss(policy, frozen, margin)[0]
    other = pairs(policy.rejected, policy.chosen), pairs(frozen.rejected, frozen.chosen)
    assert found[1] == loss(*other, -margin)[1]
    half = PairLabels(numbers(0.5, 0.5), torch.zeros(2), soft=True)
    torch.testing.assert_close(
        expected_loss(loss, policy, frozen, half), expected_loss(loss, *other, half), rtol=1e-12, atol=0
    )


def row(probability: float, margin: float = 0.0) -> Preference:
    return Preference("r", (Message(role="user", content="x"),), "a", "b", probability, margin)


def test_accuracy_is_that_of_the_label() -> None:
    labels = as_labels(np.array([1, 1, 0.1, 0.1, 0.5, 1]), np.zeros(6), torch.device("cpu"))
    assert labels.soft
    assert labels.right(torch.tensor([2.0, -2.0, 2.0, -2.0, 2.0, 0.0])).tolist() == [1, 0, 0, 1, 0.5, 0]
    assert not as_labels(np.ones(2), np.zeros(2), torch.device("cpu")).soft


def test_rows_in_the_order_of_their_labels() -> None:
    found, order = in_order([row(1), row(0.2), row(0.5)], "here")
    assert [(one.chosen, one.rejected, one.probability) for one in found] == [("a", "b", 1), ("b", "a", 0.8)]
    assert order.counts() == {"swapped_pairs": 1, "undecided_pairs": 1}
    assert in_order([row(1), row(0.7)], "here")[1].counts() == {}
    with pytest.raises(StageError, match=r"here: every pair has probability 0\.5"):
        in_order([row(0.5)], "here")
    with pytest.raises(StageError, match="row 2 of the preferences has margin 3"):
        in_order([row(1), row(1, 3.0)], "here")


def test_a_swapped_row_keeps_which_response_was_cut() -> None:
    ((found,), _) = in_order([replace(row(0.2), chosen_ended=False)], "here")
    assert [(reply.text, reply.ended) for reply in found.replies()] == [("b", True), ("a", False)]


QUICK: dict[str, Any] = {"lr": 2e-2, "epochs": 8, "batch_size": 8}
STEP: dict[str, Any] = {"lr": 1e-3, "epochs": 1, "batch_size": 8}
ASKED = {"instructions": {"good": "be good", "bad": "be bad", "separator": " "}}


def given(folder: Path, **columns: Any) -> Given:
    rows = [{**row, **columns} for row in PREFERENCES]
    return Given(base=pretrained(folder / "m"), preferences=data(folder / "p.jsonl", rows), seed=0, max_length=64)


@pytest.mark.parametrize("method", [DPO, CDPO, RDPO, Hinge, IPO, KTO, ORPO, SimPO])
def test_every_method_learns_what_the_label_says(tmp_path: Path, bench: Bench, method: type[Method]) -> None:
    last = {}
    for p in (0.05, 0.95):
        (folder := tmp_path / str(p)).mkdir()
        spec = method(**QUICK).policy(given(folder, probability=p))
        assert isinstance(spec, Tuned)
        rows = log(bench.payload(spec.by))
        last[p] = rows[-1]
        assert rows[-1]["loss"] < rows[0]["loss"]
        assert rows[-1].get("accuracy", 1.0) == 1
    assert last[0.05]["prefers_chosen"] < last[0.95]["prefers_chosen"]
    assert last[0.05]["rejected_logprob"] > last[0.95]["rejected_logprob"]


@pytest.mark.parametrize("method", [DPO, KTO, SimPO, HIR])
def test_a_probability_of_1_changes_no_byte(tmp_path: Path, bench: Bench, method: type[Method]) -> None:
    found = []
    for name, columns in {"without": {}, "with": {"probability": 1.0, "margin": 0.0}}.items():
        (folder := tmp_path / name).mkdir()
        spec = method(**STEP, **(ASKED if method is HIR else {})).policy(given(folder, **columns))
        spec = spec.base if isinstance(spec, Instructed) else spec
        assert isinstance(spec, Tuned)
        found.append((bench.payload(spec.by) / "policy" / "model.safetensors").read_bytes())
        told = json.loads((bench.payload(spec.by) / "diagnostics.json").read_text())
        assert told.keys() == {"lengths"}  # no counts of labels, which are all as without the columns
    assert found[0] == found[1]


@pytest.mark.parametrize("method", [CDPO, RDPO, IPO, KTO, ORPO, SimPO, HIR, RAHF])
def test_a_margin_that_a_loss_has_no_place_for_is_refused_when_planned(tmp_path: Path, method: type[Method]) -> None:
    own = given(tmp_path, margin=0.5)
    with pytest.raises(BenchError, match=r"row 1 of given\.preferences has a margin.*columns: \{margin: null\}"):
        method().policy(own)
    assert isinstance(own.preferences, Data)
    unread = own.preferences.model_copy(update={"columns": {"margin": None}})
    method().policy(own.model_copy(update={"preferences": unread}))


@pytest.mark.parametrize("method", [DPO, Hinge])
def test_a_margin_is_asked_for_where_a_loss_has_a_place(tmp_path: Path, bench: Bench, method: type[Method]) -> None:
    losses = []
    for margin in (0.0, 2.0):
        (folder := tmp_path / str(margin)).mkdir()
        spec = method(**STEP).policy(given(folder, margin=margin))
        assert isinstance(spec, Tuned)
        losses.append(log(bench.payload(spec.by))[0]["loss"])
    expected = {DPO: math.log1p(math.exp(2.0)) - math.log(2), Hinge: 2.0}[method]
    assert losses[1] - losses[0] == pytest.approx(expected, abs=1e-5)


def test_what_a_stage_made_is_refused_when_it_is_read(tmp_path: Path, bench: Bench) -> None:
    spec = SimPO(**STEP).policy(given(tmp_path))
    assert isinstance(spec, Tuned)
    late = data(tmp_path / "late.jsonl", [{**row, "margin": 1.0} for row in PREFERENCES])
    with pytest.raises(StageError, match=r"train/simpo .*row 1 of the preferences has margin 1"):
        bench.run(spec.by.model_copy(update={"data": late}))


def test_columns_of_null_are_not_read(tmp_path: Path, bench: Bench) -> None:
    rows = [{**PREFERENCES[0], "probability": 0.1, "margin": 2.0}]
    spec = data(tmp_path / "p.jsonl", rows, columns={"probability": None, "margin": None})
    found = read_preferences(spec, bench.io())[0]
    assert (found.probability, found.margin) == (1.0, 0.0)
    with pytest.raises(DataError, match=r"columns: \{chosen: null\}"):
        read_preferences(data(tmp_path / "q.jsonl", rows, columns={"chosen": None}), bench.io())


def test_sides_and_contrasts_take_the_better_response_for_good(tmp_path: Path, bench: Bench) -> None:
    rows = [{**row, "probability": p} for row, p in zip(PREFERENCES, [0.1, 0.5] + [1.0] * 6, strict=True)]
    spec = data(tmp_path / "p.jsonl", rows)
    good = side_of(spec, "chosen")
    found = read_demonstrations(good, bench.io())
    assert [one.response for one in found] == ["no.", *(row["chosen"] for row in PREFERENCES[2:])]
    assert json.loads((bench.payload(good.by) / "diagnostics.json").read_text()) == {
        "swapped_pairs": 1,
        "undecided_pairs": 1,
    }
    own = Given(base=pretrained(tmp_path / "m"), preferences=spec, seed=0, max_length=128)
    turned = [dict(row) for row in rows if row["probability"] != 0.5]
    turned[0] |= {"chosen": turned[0]["rejected"], "rejected": turned[0]["chosen"], "probability": 1.0}
    weights = []
    for preferences in (spec, data(tmp_path / "turned.jsonl", turned)):
        asked = HIR(**STEP, **ASKED).policy(own.model_copy(update={"preferences": preferences}))
        assert isinstance(asked, Instructed)
        assert isinstance(asked.base, Tuned)
        weights.append(load_file(bench.payload(asked.base.by) / "policy" / "model.safetensors"))
    for name, values in weights[0].items():
        assert torch.equal(values, weights[1][name]), name


def test_the_worse_response_is_not_imitated(tmp_path: Path, bench: Bench) -> None:
    rows = [*PREFERENCES[:2], {**PREFERENCES[2], "probability": 0.2}]
    base = pretrained(tmp_path / "m")
    spec = data(tmp_path / "p.jsonl", rows, columns={"response": "chosen"})
    message = r"row 3: its response is the column `chosen`.*columns: \{probability: null\}"
    with pytest.raises(DataError, match=message):
        read_demonstrations(spec, bench.io())
    with pytest.raises(BenchError, match=message):
        SFT().policy(Given(base=base, demonstrations=spec, seed=0))
    kept = spec.model_copy(update={"columns": {"response": "chosen", "probability": None}})
    assert len(read_demonstrations(kept, bench.io())) == 3
    SFT().policy(Given(base=base, demonstrations=kept, seed=0))
    assert len(read_demonstrations(data(tmp_path / "d.jsonl", DEMONSTRATIONS), bench.io())) == 8


def test_reward_models_read_margins(tmp_path: Path) -> None:
    import methods

    stage = methods.reward_model(given(tmp_path, margin=0.5), RewardModelSettings())
    assert not isinstance(stage.data, Made)
