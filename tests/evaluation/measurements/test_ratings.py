"""Stages that rate responses, measure divergences and label preference data, on a tiny model."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet as pq
import pytest
import torch

from bench.core.errors import StageError
from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.policy import BestOf, Decoding, Instructed, PolicySpec, Pretrained
from bench.core.reward import Chooser, JudgeReward
from bench.core.stage import StageIO
from bench.core.task import Prompt, Task, user
from bench.evaluation.generate import COMPLETIONS, Generate
from bench.evaluation.measurements.divergence import (
    DIVERGENCES,
    Divergence,
    divergence_bound,
    sampled,
    without_likelihood,
)
from bench.evaluation.measurements.label_agreement import PAYLOAD, LabelPairs
from bench.evaluation.measurements.ratings import RATINGS, RateResponses
from bench.evaluation.measurements.win_rate import JudgePairs
from bench.models.hf import HFPolicy
from bench.models.likelihood.divergence import divergences, estimates
from bench.models.likelihood.logprobs import Group, response_logprobs
from bench.models.load import load_policy
from tests.methods.tiny import PREFERENCES, Bench, data, model, pretrained


class Questions(Task):
    NAME: ClassVar[str] = "questions"
    VERSION: ClassVar[int] = 1

    temperature: float = 1.0

    def prompts(self) -> Sequence[Prompt]:
        return [Prompt(id=f"q{n}", chat=user(text), cluster=f"q{n}") for n, text in enumerate(["ask", "tell a", "so"])]

    def decoding(self) -> Decoding:
        return Decoding(temperature=self.temperature, max_new_tokens=5)


class Length(Judge):
    """Rates by length, prefers the first of two, and cannot rate an empty response."""

    NAME: ClassVar[str] = "length"
    VERSION: ClassVar[int] = 1

    lazy: bool = False
    seed: int = 0

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        return [Verdict(value=0.75 if len(pair.first) >= len(pair.second) else 0.5) for pair in pairs][self.lazy :]

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        rated = [
            Verdict(value=float(len(one.text))) if one.text else Verdict(value=None, status="undefined", text="empty")
            for one in responses
        ]
        return rated[self.lazy :]


class Flat(Length):
    """Rates every response alike."""

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        return [Verdict(value=0.0) for _ in responses]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "stages")


@pytest.fixture
def base(tmp_path: Path) -> Pretrained:
    return pretrained(tmp_path / "base", seed=0)


@pytest.fixture
def other(tmp_path: Path) -> Pretrained:
    return pretrained(tmp_path / "other", seed=1)


def read(bench: Bench, stage: Any, file: str) -> list[dict[str, Any]]:
    return pq.read_table(bench.payload(stage) / file).to_pylist()


def model_of(spec: PolicySpec, io: StageIO) -> HFPolicy:
    (model,) = load_policy(spec, io).parts
    return model


def test_every_response_is_rated_once(bench: Bench, base: Pretrained) -> None:
    answers = Generate(policy=base, task=Questions(), draws=2, seed=0)
    stage = RateResponses(responses=answers, judge=Length())
    rows, texts = read(bench, stage, RATINGS), read(bench, answers, COMPLETIONS)
    assert [(row["prompt"], row["draw"]) for row in rows] == [(f"q{n}", draw) for n in range(3) for draw in range(2)]
    for row, answer in zip(rows, texts, strict=True):
        expected = (float(len(answer["text"])), "ok") if answer["text"] else (None, "undefined")
        assert (row["value"], row["status"]) == expected
    assert bench.ios[stage.key].meter.judgements == 6


def test_a_judge_that_loses_a_rating_or_a_label_is_told(bench: Bench, base: Pretrained, tmp_path: Path) -> None:
    answers = Generate(policy=base, task=Questions(), draws=1, seed=0)
    with pytest.raises(StageError, match="judge length returned 2 verdicts on 3 questions"):
        bench.run(RateResponses(responses=answers, judge=Length(lazy=True)))
    rows = data(tmp_path / "rows.jsonl", PREFERENCES)
    with pytest.raises(StageError, match="judge length returned 15 verdicts on 16 questions"):
        bench.run(LabelPairs(data=rows, judge=Length(lazy=True)))
    with pytest.raises(StageError, match="judge length returned 5 verdicts on 6 questions"):
        bench.run(JudgePairs(a=answers, b=answers, judge=Length(lazy=True), orders="both"))


def test_a_divergence_is_the_log_ratio_of_plain_forward_passes(
    bench: Bench, base: Pretrained, other: Pretrained
) -> None:
    answers = Generate(policy=other, task=Questions(), draws=2, seed=3)
    rows = read(bench, Divergence(responses=answers, reference=base), DIVERGENCES)
    io = bench.io()
    policies = [model_of(spec, io) for spec in (other, base)]
    chats = {prompt.id: prompt.chat for prompt in Questions().prompts()}
    for row, answer in zip(rows, read(bench, answers, COMPLETIONS), strict=True):
        ids, prompt = answer["tokens"], policies[0].prompt(chats[answer["prompt"]])
        k1, k3 = 0.0, 0.0
        own, theirs = (
            policy.model(torch.tensor([[*prompt, *ids]])).logits[0].double().log_softmax(-1) for policy in policies
        )
        for place, token in enumerate(ids, start=len(prompt) - 1):
            ratio = float(theirs[place, token] - own[place, token])
            k1, k3 = k1 - ratio, k3 + math.exp(ratio) - 1 - ratio
        assert row["status"] == "ok"
        assert row["value"] == pytest.approx(k1, abs=1e-5)
        assert row["k3"] == pytest.approx(k3, abs=1e-5)


def test_a_policy_has_not_moved_from_itself(bench: Bench, base: Pretrained) -> None:
    answers = Generate(policy=base, task=Questions(), draws=1, seed=0)
    rows = read(bench, Divergence(responses=answers, reference=base), DIVERGENCES)
    assert [(row["value"], row["k3"]) for row in rows] == [(0.0, 0.0)] * 3


def test_both_estimates_have_the_divergence_as_their_expectation() -> None:
    first, second = (torch.randn(50, dtype=torch.float64, generator=torch.Generator().manual_seed(n)) for n in (0, 1))
    own = first.log_softmax(0)
    for step in (1.0, 0.1):
        theirs = (first + step * second).log_softmax(0)
        k1, k3 = (torch.tensor(found, dtype=torch.float64) for found in estimates(own[:, None], theirs[:, None]))
        exact = float((own.exp() * (own - theirs)).sum())
        assert float((own.exp() * k1).sum()) == pytest.approx(exact, abs=1e-12)
        assert float((own.exp() * k3).sum()) == pytest.approx(exact, abs=1e-12)
        assert (k3 >= 0).all()
    # With the policies this close, k3 varies less over the samples.
    spread = [float((own.exp() * (found - exact) ** 2).sum()) for found in (k1, k3)]
    assert spread[1] < spread[0] / 10


def test_each_policy_reads_its_own_instruction(bench: Bench, base: Pretrained) -> None:
    asked = Instructed(base=base, instruction="be good", separator=" ")
    (chat,) = [prompt.chat for prompt in Questions().prompts()[:1]]
    io = bench.io()
    ((k1, _),) = divergences(asked, base, [(chat, [5, 6, 2])], io)
    policies = [model_of(spec, io) for spec in (asked, base)]
    own, theirs = (
        float(response_logprobs(one.model, [Group(one.prompt(chat), [[5, 6, 2]])], pad_id=0).sum()) for one in policies
    )
    assert k1 == pytest.approx(own - theirs, abs=1e-5)
    assert abs(k1) > 1e-4


def test_batches_change_nothing(bench: Bench, base: Pretrained, other: Pretrained) -> None:
    written = [(prompt.chat, [4 + n, 5, 6][: 1 + n]) for n, prompt in enumerate(Questions().prompts())]
    together = divergences(other, base, written, bench.io())
    alone = [divergences(other, base, [one], bench.io())[0] for one in written]
    for one, same in zip(together, alone, strict=True):
        assert one == pytest.approx(same, abs=1e-6)


def test_with_another_tokenizer_it_is_undefined(bench: Bench, base: Pretrained, tmp_path: Path) -> None:
    pretrained(tmp_path / "strange", seed=0)
    file = tmp_path / "strange" / "tokenizer.json"
    spelled = json.loads(file.read_text())
    vocabulary = spelled["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    file.write_text(json.dumps(spelled))
    answers = Generate(policy=base, task=Questions(), draws=1, seed=0)
    strange = Pretrained(path=str(tmp_path / "strange"), template="{prompt}?")
    rows = pq.read_table(bench.payload(Divergence(responses=answers, reference=strange)) / DIVERGENCES).to_pylist()
    assert {(row["value"], row["status"]) for row in rows} == {(None, "undefined")}
    assert all("needs one tokenizer" in row["text"] for row in rows)


def test_what_a_reference_cannot_read_has_a_status(bench: Bench, base: Pretrained, tmp_path: Path) -> None:
    short = model(0)
    short.config.max_position_embeddings = 6
    pretrained(tmp_path / "short", seed=0)
    short.save_pretrained(tmp_path / "short")
    answers = Generate(policy=base, task=Questions(), draws=1, seed=0)
    stage = Divergence(responses=answers, reference=Pretrained(path=str(tmp_path / "short"), template="{prompt}?"))
    rows = read(bench, stage, DIVERGENCES)
    assert [(row["value"], row["k3"], row["status"]) for row in rows] == [(None, None, "too_long")] * len(rows)
    assert rows and all("context of 6" in row["text"] for row in rows)


def test_what_has_no_likelihood_says_so(bench: Bench, base: Pretrained) -> None:
    best = BestOf(base=base, n=16, chooser=Chooser(reward=JudgeReward(judge=Flat())))
    assert divergence_bound(best) == pytest.approx(1.835089, abs=1e-6)  # METHODS 14(e)
    why = without_likelihood(Instructed(base=best, instruction="be good"))
    assert why == "the best of several samples has no likelihood; its divergence is at most 1.83509 nats"
    assert without_likelihood(base) is None
    assert divergence_bound(base) is None
    answers = Generate(policy=best, task=Questions(), draws=1, seed=0)
    rows = read(bench, Divergence(responses=answers, reference=base), DIVERGENCES)
    assert [(row["value"], row["k3"], row["status"], row["text"]) for row in rows] == [
        (None, None, "undefined", why)
    ] * 3


def test_greedy_answers_are_no_samples() -> None:
    assert sampled(Questions()) == Questions()
    free = sampled(Questions(temperature=0.0))
    assert free.decoding() == Decoding(temperature=1.0, max_new_tokens=5)
    assert free.prompts() == Questions().prompts()


def test_labels_are_turned_back_and_carry_what_is_known(bench: Bench, tmp_path: Path) -> None:
    rows = [
        {"prompt": "ask", "chosen": "a long one", "rejected": "no", "chosen_gold": 2.0, "rejected_gold": 0.5},
        {"prompt": "ask", "chosen": "no", "rejected": "a long one", "probability": 0.7},
    ]
    found = read(bench, LabelPairs(data=data(tmp_path / "rows.jsonl", rows), judge=Length()), PAYLOAD)
    assert [(row["row"], row["order"], row["value"], row["label"], row["gold"]) for row in found] == [
        (0, "first", 0.75, 1.0, 1.5),
        (0, "second", 0.5, 1.0, 1.5),
        (1, "first", 0.5, 0.7, None),
        (1, "second", 0.25, 0.7, None),
    ]
