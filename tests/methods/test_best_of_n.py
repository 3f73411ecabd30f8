"""Best-of-n and expert iteration: what they plan, what they sample, and what they train on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import methods
from bench.core.data import Made
from bench.core.errors import BenchError, StageError
from bench.core.frozen import decode, digest, digest_of_file, encode
from bench.core.method import Given, Lora
from bench.core.policy import BestOf, Decoding, Tuned
from bench.core.reward import Chooser, FileReward, MixedReward, ModelReward, Part, reward_models
from bench.core.stage import Stage
from bench.core.task import user
from bench.models.best_of import open_policy, sample_seeds
from bench.models.load import load_policy
from bench.models.reward_model import load_reward_model
from bench.models.rewards import reply_of
from methods._train.feedback.best_samples import BestOfSamples, prompt_seed
from methods._train.settings import Optimisation, RewardModelSettings
from methods.best_of_n import BestOfN
from methods.expert_iteration import ExpertIteration
from methods.sft import SFT
from tests.methods.tiny import PREFERENCES, Bench, data

QUICK = Optimisation(lr=5e-3, epochs=1, batch_size=4)
REWARD = RewardModelSettings(lr=5e-3, epochs=2, batch_size=4)
SHORT = Decoding(max_new_tokens=8)


def rewarded(folder: Path, body: str) -> FileReward:
    path = folder / "reward.py"
    path.write_text(f"def reward(prompts, responses):\n    return [{body} for text in responses]\n", encoding="utf-8")
    return FileReward(path=str(path), digest=digest_of_file(path))


def samples_of(policy: Tuned) -> BestOfSamples:
    data = dict(policy.by)["data"]
    assert isinstance(data, Made)
    assert isinstance(data.by, BestOfSamples)
    return data.by


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()]


def test_best_of_n_shares_start_and_reward_model(given: Given, bench: Bench) -> None:
    spec = BestOfN(n=4, reward_model=REWARD, start=QUICK).policy(given)
    assert isinstance(spec, BestOf)
    assert spec.base == methods.supervised_start(given, QUICK)
    stage = methods.reward_model(given, REWARD, QUICK)
    assert reward_models(spec) == (stage,)
    assert digest(decode(encode(stage))) == digest(stage)
    seeds, chat = [5], user("ask one")
    found = open_policy(spec, bench.io()).generate([chat], SHORT, seeds=seeds)[0]
    drawn = load_policy(spec.base, bench.io()).generate([chat] * 4, SHORT, seeds=sample_seeds(5, 4))
    scores = load_reward_model(stage, bench.io()).score_texts([chat] * 4, [reply_of(one) for one in drawn])
    assert found == drawn[int(np.argmax(scores))]
    assert len({one.text for one in drawn}) > 1


def test_a_reward_without_a_model_needs_no_preferences(given: Given, tmp_path: Path) -> None:
    reward = rewarded(tmp_path, "1.0")
    alone = given.model_copy(update={"preferences": None})
    for method in (BestOfN(reward=reward), ExpertIteration(reward=reward)):
        assert method.needs() == frozenset()
        assert reward_models(method.policy(alone)) == ()
    mixed = MixedReward(parts=(Part(reward=reward), Part(reward=ModelReward())))
    assert BestOfN(reward=mixed).needs() == {"preferences"}
    with pytest.raises(BenchError, match="given.preferences"):
        BestOfN(reward=mixed).policy(alone)
    nothing = alone.model_copy(update={"demonstrations": None})
    with pytest.raises(BenchError, match="given.prompts"):
        ExpertIteration(reward=reward).policy(nothing)


def test_the_best_of_equal_responses_is_refused(given: Given, tmp_path: Path) -> None:
    reward = rewarded(tmp_path, "1.0")
    for greedy in ({"temperature": 0.0}, {"top_k": 1}):
        decoding = SHORT.model_copy(update=greedy)
        with pytest.raises(BenchError, match="n: 4 responses.*decoding is greedy"):
            ExpertIteration(n=4, reward=reward, decoding=decoding, start=QUICK).policy(given)
        assert ExpertIteration(n=1, reward=reward, decoding=decoding, start=QUICK).policy(given)


def test_a_round_trains_on_the_best_responses(given: Given, bench: Bench, tmp_path: Path) -> None:
    method = ExpertIteration(n=3, reward=rewarded(tmp_path, "-len(text)"), decoding=SHORT, start=QUICK, lr=5e-3)
    spec = method.policy(given)
    assert isinstance(spec, Tuned)
    samples = samples_of(spec)
    found = rows(bench.payload(samples))
    assert [row["prompt"] for row in found] == [[{"role": "user", "content": row["prompt"]}] for row in PREFERENCES]
    policy = load_policy(samples.policy, bench.io())
    for number, row in enumerate(found):
        seeds = sample_seeds(prompt_seed(0, 0, str(number + 1)), 3)
        drawn = policy.generate([user(PREFERENCES[number]["prompt"])] * 3, SHORT, seeds=seeds)
        assert row["response"] == min((one.text for one in drawn), key=len)
    bench.payload(spec.by)
    assert bench.ios[spec.by.key].meter.examples == 3 * len(PREFERENCES)  # three epochs
    assert bench.ios[samples.key].meter.generated_tokens > 0


def test_prompts_are_answered_once_and_those_given_come_first(given: Given, bench: Bench, tmp_path: Path) -> None:
    own = data(tmp_path / "prompts.jsonl", [{"prompt": "ask"}, {"prompt": "tell"}, {"prompt": "ask"}])
    method = ExpertIteration(n=2, reward=rewarded(tmp_path, "1.0"), decoding=SHORT, start=QUICK)
    spec = method.policy(given.model_copy(update={"prompts": own}))
    assert isinstance(spec, Tuned)
    found = rows(bench.payload(samples_of(spec)))
    assert [row["id"] for row in found] == ["1", "2"]


def test_with_one_reward_for_all_it_is_training_on_own_samples(given: Given, bench: Bench, tmp_path: Path) -> None:
    """n does not matter then: the first sample wins."""
    texts = []
    for n in (1, 5):
        spec = ExpertIteration(n=n, reward=rewarded(tmp_path, "1.0"), decoding=SHORT, start=QUICK).policy(given)
        assert isinstance(spec, Tuned)
        texts.append([row["response"] for row in rows(bench.payload(samples_of(spec)))])
    assert texts[0] == texts[1]


def test_rounds_sample_from_the_round_before(given: Given, tmp_path: Path) -> None:
    reward = rewarded(tmp_path, "1.0")
    one, last, start = (
        ExpertIteration(reward=reward, rounds=rounds, begin=begin).policy(given)
        for rounds, begin in ((1, "last"), (2, "last"), (2, "start"))
    )
    assert isinstance(one, Tuned)
    assert isinstance(last, Tuned)
    assert isinstance(start, Tuned)
    assert samples_of(last).policy == samples_of(start).policy == one
    assert (samples_of(one).round, samples_of(last).round) == (0, 1)
    assert last.base == one
    assert start.base == one.base == SFT().policy(given)


def test_every_round_raises_the_reward(given: Given, bench: Bench, tmp_path: Path) -> None:
    reward = rewarded(tmp_path, "text.count('e')")
    settings = {"n": 8, "reward": reward, "decoding": SHORT, "start": QUICK, "lr": 1e-2, "batch_size": 4, "epochs": 4}
    lengths = []
    for rounds in (1, 3):
        spec = ExpertIteration.model_validate({**settings, "rounds": rounds}).policy(given)
        policy = load_policy(spec, bench.io())
        chats = [user(row["prompt"]) for row in PREFERENCES for _ in range(8)]
        found = policy.generate(chats, SHORT, seeds=range(len(chats)))
        lengths.append(np.mean([one.text.count("e") for one in found]))
    start = load_policy(methods.supervised_start(given, QUICK), bench.io()).generate(
        chats, SHORT, seeds=range(len(chats))
    )
    assert np.mean([one.text.count("e") for one in start]) < lengths[0] < lengths[1]


def test_it_trains_an_adapter_where_the_comparison_says_so(given: Given, bench: Bench, tmp_path: Path) -> None:
    method = ExpertIteration(n=2, reward=rewarded(tmp_path, "1.0"), decoding=SHORT, start=QUICK)
    spec = method.policy(given.model_copy(update={"lora": Lora(rank=2)}))
    assert isinstance(spec, Tuned)
    assert (bench.payload(spec.by) / "policy" / "adapter_config.json").is_file()


def test_a_reward_that_fails_names_its_stage(given: Given, bench: Bench, tmp_path: Path) -> None:
    spec = ExpertIteration(n=2, reward=rewarded(tmp_path, "float('nan')"), decoding=SHORT, start=QUICK).policy(given)
    assert isinstance(spec, Tuned)
    samples: Stage = samples_of(spec)
    with pytest.raises(StageError, match="best_of_samples .* gave nan .* prompt '1'"):
        bench.run(samples)


def test_a_chooser_survives_json(given: Given) -> None:
    spec = BestOfN(n=4).policy(given)
    assert isinstance(spec, BestOf)
    again = decode(encode(spec.chooser))
    assert isinstance(again, Chooser)
    assert digest(again) == digest(spec.chooser)
