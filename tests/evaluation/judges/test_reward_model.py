"""The reward-model judge: which model it takes, what it says, and that the scale of rewards does not matter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import methods
from bench.core.datasets import Reply
from bench.core.errors import BenchError, StageError
from bench.core.frozen import decode, digest, encode
from bench.core.judge import Pair, Response
from bench.core.method import Given
from bench.core.policy import BestOf, PolicySpec
from bench.core.reward import Chooser, ModelReward
from bench.core.task import Prompt, user
from bench.evaluation.judges.reward_model import RewardModelJudge
from bench.models.reward_model import load_reward_model
from methods._train.settings import Optimisation, RewardModelSettings
from methods.best_of_n import BestOfN
from methods.expert_iteration import ExpertIteration
from tests.methods.tiny import DEMONSTRATIONS, PREFERENCES, Bench, data, pretrained

QUICK = Optimisation(lr=5e-3, epochs=1, batch_size=4)
SETTINGS = RewardModelSettings(lr=5e-3, epochs=4, batch_size=4)
PROMPTS = [Prompt(id=str(number), chat=user(row["prompt"]), cluster="c") for number, row in enumerate(PREFERENCES)]
PAIRS = [
    Pair(prompt=prompt, first=row["chosen"], second=row["rejected"])
    for prompt, row in zip(PROMPTS, PREFERENCES, strict=True)
]


@pytest.fixture
def given(tmp_path: Path) -> Given:
    return Given(
        base=pretrained(tmp_path / "model"),
        demonstrations=data(tmp_path / "demonstrations.jsonl", DEMONSTRATIONS),
        preferences=data(tmp_path / "preferences.jsonl", PREFERENCES),
        seed=0,
    )


def arms(given: Given, settings: RewardModelSettings = SETTINGS) -> Callable[[str], PolicySpec]:
    policies = {
        "sft": methods.supervised_start(given, QUICK),
        "best": BestOfN(reward_model=settings, start=QUICK).policy(given),
    }
    return lambda name: policies[name]


def test_it_rates_with_the_model_of_its_arm(given: Given, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "bench")
    judge = RewardModelJudge(of="best").bound(arms(given))
    stage = methods.reward_model(given, SETTINGS, QUICK)
    assert judge.by == stage
    asked = [Response(prompt=pair.prompt, text=text) for pair in PAIRS for text in (pair.first, pair.second)]
    found = [verdict.value for verdict in judge.rate(None, asked, bench.io())]
    model = load_reward_model(stage, bench.io())
    assert found == model.score_texts([one.prompt.chat for one in asked], [Reply(one.text) for one in asked])
    assert judge.rate(None, [], bench.io()) == []
    assert decode(encode(judge)) == judge


def test_it_compares_by_the_sign_whatever_the_scale(given: Given, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "bench")
    turned = [Pair(prompt=pair.prompt, first=pair.second, second=pair.first) for pair in PAIRS]
    same = [Pair(prompt=pair.prompt, first=pair.first, second=pair.first) for pair in PAIRS]
    seen = []
    for spread in ("natural", "unit"):
        judge = RewardModelJudge(of="best").bound(arms(given, SETTINGS.model_copy(update={"spread": spread})))
        values = [[verdict.value for verdict in judge.compare(None, some, bench.io())] for some in (PAIRS, turned)]
        assert {value for row in values for value in row} == {0.0, 1.0}
        assert [first + second for first, second in zip(*values, strict=True)] == [1.0] * len(PAIRS)  # type: ignore[operator]
        assert [verdict.value for verdict in judge.compare(None, same, bench.io())] == [0.5] * len(PAIRS)
        rated = judge.rate(None, [Response(prompt=one.prompt, text=one.first) for one in PAIRS], bench.io())
        other = judge.rate(None, [Response(prompt=one.prompt, text=one.second) for one in PAIRS], bench.io())
        signs = [float(left.value > right.value) for left, right in zip(rated, other, strict=True)]  # type: ignore[operator]
        assert values[0] == signs
        seen.append(values)
    assert seen[0] == seen[1]
    assert sum(seen[0][0]) >= 6  # type: ignore[arg-type]


def test_an_arm_without_a_reward_model_is_named(given: Given, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="'sft' has learnt from no reward model"):
        RewardModelJudge(of="sft").bound(arms(given))
    with pytest.raises(StageError, match="'best'"):
        one = [Response(prompt=PROMPTS[0], text="so.")]
        RewardModelJudge(of="best").rate(None, one, Bench(tmp_path / "bench").io())


def test_of_two_reward_models_the_nearer_one_counts(given: Given) -> None:
    inner = arms(given)("best")
    outer = methods.reward_model(given, SETTINGS.model_copy(update={"lr": 1e-3}), QUICK)
    both = BestOf(base=inner, n=2, chooser=Chooser(reward=ModelReward(by=outer)))
    with pytest.raises(BenchError, match="2 reward models at once"):
        RewardModelJudge(of="both").bound(lambda _name: both)
    # The winners that a policy was trained on were chosen by the first; a second one chooses among its responses.
    settings = {"reward_model": SETTINGS, "start": QUICK}
    learnt = ExpertIteration.model_validate(settings).policy(given)
    stage = methods.reward_model(given, SETTINGS, QUICK)
    assert RewardModelJudge(of="x").bound(lambda _name: learnt).by == stage
    chosen = BestOf(base=learnt, n=2, chooser=Chooser(reward=ModelReward(by=outer)))
    assert RewardModelJudge(of="x").bound(lambda _name: chosen).by == outer


def test_an_arm_renamed_leaves_the_verdicts(given: Given) -> None:
    policy = arms(given)("best")
    found = [RewardModelJudge(of=name).bound(lambda _name: policy) for name in ("one", "other")]
    assert digest(found[0]) == digest(found[1])
    other = arms(given, SETTINGS.model_copy(update={"lr": 1e-3}))
    assert digest(RewardModelJudge(of="best").bound(other)) != digest(found[0])
