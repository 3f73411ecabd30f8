from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from bench.core.errors import StageError
from bench.core.policy import Instructed, PolicySpec, Proxy
from bench.evaluation.generate import COMPLETIONS, Generate
from bench.evaluation.measurements.token_shift import TOKENS, TokenShift, shift_facts
from bench.models.likelihood.token_shift import unsteered
from bench.models.load import load_policy
from bench.report.figures.tokens import token_shifts
from bench.results.summary import ShiftFacts
from tests.methods.tiny import Bench, pretrained
from tests.models.asks import Asks


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "bench")


@pytest.fixture
def spec(tmp_path: Path) -> Proxy:
    three = [pretrained(tmp_path / str(seed), seed) for seed in range(3)]
    return Proxy(base=three[0], expert=three[1], antiexpert=three[2], alpha=1.5)


def by_hand(spec: PolicySpec, bench: Bench, answers: Generate) -> tuple[np.ndarray, list[float], int]:
    """The sums of the change of probability, and every written token's change, one position at a time."""
    after, before = load_policy(spec, bench.io()), load_policy(unsteered(spec), bench.io())
    expected, changes, other = np.zeros(after.tokenizer.vocab_size), [], 0
    prompts = {prompt.id: prompt.chat for prompt in answers.task.prompts()}
    for row in pq.read_table(bench.payload(answers) / COMPLETIONS).to_pylist():
        sessions = [policy.session([prompts[row["prompt"]]]) for policy in (after, before)]
        for token in row["tokens"]:
            one, two = (session.logits().log_softmax(-1)[0] for session in sessions)
            expected += (one.exp() - two.exp()).double().numpy()
            changes.append(float(one[token] - two[token]))
            other += int(one.argmax() != two.argmax())
            for session in sessions:
                session.push(torch.tensor([token]))
    return expected, changes, other


def facts_of(*folders: Path) -> ShiftFacts:
    found = shift_facts("proxy", "asks", folders)
    assert found is not None
    return found


@pytest.mark.parametrize("instructed", [False, True])
def test_it_is_the_sum_over_positions(bench: Bench, spec: Proxy, instructed: bool) -> None:
    policy: PolicySpec = Instructed(base=spec, instruction="be.") if instructed else spec
    answers = Generate(policy=policy, task=Asks(), draws=4, seed=0)
    folder = bench.payload(TokenShift(responses=answers))
    rows = {row["token"]: row for row in pq.read_table(folder / TOKENS).to_pylist()}
    expected, changes, other = by_hand(policy, bench, answers)
    assert set(rows) == set(range(len(expected)))
    np.testing.assert_allclose([rows[token]["expected"] for token in sorted(rows)], expected, atol=1e-5)
    assert sum(row["written"] for row in rows.values()) == len(changes)
    assert sum(row["logprob"] for row in rows.values()) == pytest.approx(sum(changes), abs=1e-4)
    facts = facts_of(folder, folder)
    assert (facts.positions, facts.other_choice) == (2 * len(changes), pytest.approx(other / len(changes)))
    assert facts.logprob_change == pytest.approx(np.mean(changes), abs=1e-5)
    assert facts.raised[0].per_thousand == pytest.approx(1000 * expected.max() / len(changes), abs=1e-3)
    assert facts.lowered[0].per_thousand == pytest.approx(1000 * expected.min() / len(changes), abs=1e-3)


def test_steering_by_nothing_changes_nothing(bench: Bench, spec: Proxy) -> None:
    answers = Generate(policy=spec.model_copy(update={"alpha": 0.0}), task=Asks(), draws=2, seed=0)
    facts = facts_of(bench.payload(TokenShift(responses=answers)))
    assert (facts.other_choice, facts.logprob_change, facts.raised, facts.lowered) == (0.0, 0.0, (), ())


def test_the_base_may_cancel(bench: Bench, spec: Proxy) -> None:
    answers = Generate(
        policy=Proxy(base=spec.base, expert=spec.expert, antiexpert=spec.base), task=Asks(), draws=1, seed=0
    )
    folder = bench.payload(TokenShift(responses=answers))
    assert facts_of(folder).other_choice > 0


def test_another_policy_has_no_base(bench: Bench, spec: Proxy) -> None:
    with pytest.raises(StageError, match="not a proxied one"):
        bench.payload(TokenShift(responses=Generate(policy=spec.base, task=Asks(), draws=1, seed=0)))


def test_it_is_drawn(bench: Bench, spec: Proxy, tmp_path: Path) -> None:
    folder = bench.payload(TokenShift(responses=Generate(policy=spec, task=Asks(), draws=3, seed=0)))
    shifts = (facts_of(folder), facts_of(folder).model_copy(update={"arm": "proxy_two"}))
    first = token_shifts(shifts, tmp_path / "one", "token_shifts")
    assert first is not None and "% of those of proxy_two on asks" in first.caption
    token_shifts(shifts, tmp_path / "two", "token_shifts")
    for name in ("token_shifts.png", "token_shifts.svg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert token_shifts((), tmp_path, "none") is None
