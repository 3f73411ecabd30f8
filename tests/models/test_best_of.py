"""Best of n: the law it promises on tabular worlds, the first of equals, and what is not defined for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bench.core.datasets import Reply
from bench.core.errors import StageError
from bench.core.frozen import Open, digest, digest_of_file
from bench.core.policy import (
    BestOf,
    Chat,
    Completion,
    Decoding,
    Instructed,
    PolicySpec,
    Pretrained,
    ResponseLikelihood,
    Session,
)
from bench.core.reward import Chooser, FileReward, ModelReward, RewardSpec
from bench.core.stage import StageIO
from bench.core.task import Prompt, user
from bench.models.best_of import BestOfPolicy, first_best, open_policy, sample_seeds
from bench.models.decoding.noise import keys
from bench.models.load import load_policy
from tests.methods.tiny import Bench, pretrained

SHORTEST = "def reward(prompts, responses):\n    return [-float(len(response)) for response in responses]\n"
CONSTANT = "def reward(prompts, responses):\n    return [0.0 for _ in responses]\n"


class FirstWord(Open):
    """Nothing that can choose."""


def uniforms(seeds: Sequence[int]) -> np.ndarray:
    return keys(seeds, 1)[:, 0, 1] * 2.0**-32 + 0.5


class Table:
    """A policy that writes the words of a table with their probabilities."""

    def __init__(self, probabilities: Sequence[float]) -> None:
        self.edges = np.cumsum(probabilities)

    def generate(
        self, chats: Sequence[Chat], decoding: Decoding, *, seeds: Sequence[int], io: StageIO | None = None
    ) -> list[Completion]:
        places = np.searchsorted(self.edges, uniforms(seeds), side="right")
        return [
            Completion(text=str(place), tokens=(int(place),), logprobs=(0.0,), finish="end", prompt_tokens=1)
            for place in places
        ]

    def session(self, chats: Sequence[Chat]) -> Session:
        raise NotImplementedError

    def loglikelihood(self, pairs: Sequence[tuple[Chat, str]]) -> list[ResponseLikelihood]:
        raise NotImplementedError


class Continuous(Table):
    """A policy that writes a number, uniform in [0, 1)."""

    def generate(
        self, chats: Sequence[Chat], decoding: Decoding, *, seeds: Sequence[int], io: StageIO | None = None
    ) -> list[Completion]:
        return [
            Completion(text=repr(float(value)), tokens=(0,), logprobs=(0.0,), finish="end", prompt_tokens=1)
            for value in uniforms(seeds)
        ]


class Values:
    """Rewards by the number that a response is, or by a table of them."""

    def __init__(self, table: Sequence[float] | None = None) -> None:
        self.table = table

    def of(self, prompts: Sequence[Prompt], responses: Sequence[Reply]) -> list[float]:
        assert len(prompts) == len(responses)
        return [float(one.text) if self.table is None else self.table[int(one.text)] for one in responses]


def written(policy: BestOfPolicy, count: int) -> list[str]:
    found = policy.generate([user(f"{number}") for number in range(count)], Decoding(), seeds=range(count))
    return [one.text for one in found]


@pytest.mark.parametrize("n", [1, 2, 4, 16])
def test_a_table_is_chosen_from_by_the_law_of_the_maximum(n: int) -> None:
    probabilities = np.array([0.4, 0.3, 0.2, 0.1])
    rewards = [0.3, -1.0, 2.0, 0.7]
    policy = BestOfPolicy(Table(probabilities), Values(rewards), n)
    count = 4000
    found = np.bincount([int(text) for text in written(policy, count)], minlength=4) / count
    order = np.argsort(rewards)
    reached = np.cumsum(probabilities[order]) ** n
    law = np.empty(4)
    law[order] = np.diff(reached, prepend=0.0)
    assert np.abs(found - law).sum() / 2 < 0.025
    divergence = float((law[law > 0] * np.log(law[law > 0] / probabilities[law > 0])).sum())
    assert divergence <= BestOf(base=Pretrained(repo="x"), n=n, chooser=Chooser(reward=ModelReward())).most_divergence()
    seen = found > 0
    assert (found[seen] * np.log(found[seen] / probabilities[seen])).sum() == pytest.approx(divergence, abs=0.05)


def test_the_expected_maximum_of_16_uniform_rewards() -> None:
    found = [float(text) for text in written(BestOfPolicy(Continuous([1.0]), Values(), 16), 2000)]
    # The maximum's standard deviation is sqrt(n / (n + 1)^2 / (n + 2)) = 0.055, its mean's 0.0012.
    assert np.mean(found) == pytest.approx(16 / 17, abs=0.005)
    assert pytest.approx(0.941176, abs=1e-6) == 16 / 17


@pytest.mark.parametrize(
    ("n", "bound"), [(1, 0.0), (2, 0.193147), (4, 0.636294), (16, 1.835089), (64, 3.174508), (128, 3.859843)]
)
def test_the_bound_on_the_divergence(n: int, bound: float) -> None:
    spec = BestOf(base=Pretrained(repo="x"), n=n, chooser=Chooser(reward=ModelReward()))
    assert spec.most_divergence() == pytest.approx(bound, abs=1e-6)
    assert spec.most_divergence() == pytest.approx(math.log(n) - 1 + 1 / n)


def test_the_first_of_equals() -> None:
    assert first_best([1.0, 2.0, 2.0]) == 1
    assert first_best([0.0, -0.0]) == 0
    seeds = sample_seeds(7, 5)
    assert seeds[0] == 7
    assert len(set(seeds)) == 5
    assert sample_seeds(7, 3) == seeds[:3]


def test_the_best_of_the_best_draws_no_response_twice() -> None:
    class Asked(Continuous):
        def generate(
            self, chats: Sequence[Chat], decoding: Decoding, *, seeds: Sequence[int], io: StageIO | None = None
        ) -> list[Completion]:
            asked.extend(seeds)
            return super().generate(chats, decoding, seeds=seeds, io=io)

    asked: list[int] = []
    policy = BestOfPolicy(BestOfPolicy(BestOfPolicy(Asked([1.0]), Values(), 3), Values(), 3), Values(), 3)
    found = policy.generate([user("w")], Decoding(), seeds=[5])
    assert len(asked) == len(set(asked)) == 27 and asked[0] == 5
    assert float(found[0].text) == max(uniforms(asked))


def file_reward(folder: Path, text: str) -> FileReward:
    path = folder / "reward.py"
    path.write_text(text, encoding="utf-8")
    return FileReward(path=str(path), digest=digest_of_file(path))


def best(base: PolicySpec, reward: RewardSpec, n: int = 6) -> BestOf:
    return BestOf(base=base, n=n, chooser=Chooser(reward=reward))


def test_one_sample_or_one_reward_for_all_is_the_plain_sample(tmp_path: Path) -> None:
    base, io = pretrained(tmp_path / "model"), Bench(tmp_path / "bench").io()
    decoding, chats = Decoding(max_new_tokens=8), [user("red"), user("one two")]
    plain = load_policy(base, io).generate(chats, decoding, seeds=[3, 4])
    shortest = file_reward(tmp_path, SHORTEST)
    assert open_policy(best(base, shortest, 1), io).generate(chats, decoding, seeds=[3, 4]) == plain
    chosen = open_policy(best(base, shortest), io).generate(chats, decoding, seeds=[3, 4])
    assert sum(len(one.text) for one in chosen) < sum(len(one.text) for one in plain)
    constant = file_reward(tmp_path, CONSTANT)
    first = open_policy(best(base, constant), io).generate(chats, decoding, seeds=[3, 4])
    # Log-probabilities round differently in a larger batch.
    assert [one.tokens for one in first] == [one.tokens for one in plain]


def test_an_answer_depends_on_its_own_seed_only(tmp_path: Path) -> None:
    policy = open_policy(
        best(pretrained(tmp_path / "model"), file_reward(tmp_path, SHORTEST)), Bench(tmp_path / "bench").io()
    )
    decoding, chats = Decoding(max_new_tokens=8), [user("red"), user("one two"), user("red")]
    together = policy.generate(chats, decoding, seeds=[3, 4, 5])
    apart = [policy.generate([chat], decoding, seeds=[seed])[0] for chat, seed in zip(chats, [3, 4, 5], strict=True)]
    assert [one.tokens for one in together] == [one.tokens for one in apart]


def test_an_instruction_is_read_by_whoever_writes(tmp_path: Path) -> None:
    base, io = pretrained(tmp_path / "model"), Bench(tmp_path / "bench").io()
    reward = file_reward(tmp_path, SHORTEST)
    outside = Instructed(base=best(base, reward), instruction="be short")
    inside = best(Instructed(base=base, instruction="be short"), reward)
    decoding, chats = Decoding(max_new_tokens=8), [user("red")]
    found = [open_policy(spec, io).generate(chats, decoding, seeds=[1]) for spec in (outside, inside)]
    assert found[0] == found[1]
    assert found[0] != open_policy(best(base, reward), io).generate(chats, decoding, seeds=[1])


def test_what_is_not_defined_is_refused(tmp_path: Path) -> None:
    base, io = pretrained(tmp_path / "model"), Bench(tmp_path / "bench").io()
    spec = best(base, file_reward(tmp_path, SHORTEST))
    policy = open_policy(spec, io)
    with pytest.raises(StageError, match="not defined"):
        policy.loglikelihood([(user("red"), "tea")])
    with pytest.raises(StageError, match="no next token"):
        policy.session([user("red")])
    with pytest.raises(StageError, match="no weights to train and no likelihood"):
        load_policy(spec, io)
    with pytest.raises(StageError, match="no stage trains it"):
        open_policy(best(base, ModelReward()), io)
    with pytest.raises(StageError, match="chooses no responses"):
        open_policy(spec.model_copy(update={"chooser": FirstWord()}), io)


def test_its_parts_are_in_the_digest() -> None:
    one = best(Pretrained(repo="x"), ModelReward(), 4)
    others = [best(Pretrained(repo="y"), ModelReward(), 4), best(Pretrained(repo="x"), ModelReward(), 5)]
    others.append(best(Pretrained(repo="x"), FileReward(path="p", digest="d"), 4))
    assert len({digest(spec) for spec in (one, *others)}) == 4
    assert BestOf.model_validate(one.model_dump() | {"chooser": Chooser(reward=ModelReward())}) == one
