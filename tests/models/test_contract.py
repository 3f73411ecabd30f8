"""What every kind of policy must do, for every member of PolicySpec: the union is the list."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from bench.core.errors import BenchError
from bench.core.frozen import decode, digest, digest_of_file, encode
from bench.core.policy import (
    BestOf,
    Built,
    Decoding,
    Instructed,
    Outputs,
    PolicySpec,
    Pretrained,
    Proxy,
    Tuned,
    as_read,
    root,
    weights_of,
)
from bench.core.reward import Chooser, FileReward
from bench.core.stage import stages_in
from bench.core.task import user
from bench.evaluation.generate import Generate
from bench.models.load import load_policy, load_trainable
from bench.models.local import prompts_of
from bench.pipeline.describe import describe_policy
from methods._train.pairs.reference import ReferenceLogprobs
from methods._train.settings import Optimisation
from methods._train.sft.stage import TrainSFT
from tests.methods.tiny import DEMONSTRATIONS, PREFERENCES, Bench, data, pretrained
from tests.models.stages import WriteTiny

KINDS = get_args(get_args(PolicySpec)[0])
# The best of several writes and has no likelihood, see test_best_of.py; outputs do neither: test_made_elsewhere.py.
LOADED = [kind for kind in KINDS if kind not in (BestOf, Outputs)]
CHATS = [user("ask one"), user("tell four words"), user("say")]


def example(kind: type[Any], folder: Path) -> PolicySpec:
    """A policy of that kind, with whatever it is made of."""
    start = pretrained(folder / "model", hidden=24)
    tuned = Tuned(
        base=start,
        by=TrainSFT(
            init=start,
            data=data(folder / "demonstrations.jsonl", DEMONSTRATIONS),
            lora=None,
            optimisation=Optimisation(lr=5e-3, epochs=1, batch_size=4),
            budget=None,
            max_length=64,
            seed=0,
        ),
    )
    reward = folder / "reward.py"
    reward.write_text("def reward(prompts, responses):\n    return [len(one) for one in responses]\n", encoding="utf-8")
    chooser = Chooser(reward=FileReward(path=str(reward), digest=digest_of_file(reward)))
    known: dict[type[Any], PolicySpec] = {
        Pretrained: start,
        Built: Built(by=WriteTiny(seed=3)),
        Tuned: tuned,
        Instructed: Instructed(base=tuned, instruction="be good."),
        Proxy: Proxy(base=start, expert=tuned, antiexpert=pretrained(folder / "small", seed=1), alpha=0.5),
        BestOf: BestOf(base=tuned, n=3, chooser=chooser),
        Outputs: Outputs(path=str(folder / "mine.jsonl"), digest="d"),
    }
    return known[kind]


def test_every_kind_is_here(tmp_path: Path) -> None:
    assert len(KINDS) == 7
    assert [type(example(kind, tmp_path)) for kind in KINDS] == list(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_it_survives_json_and_every_field_is_in_its_identity(kind: type[Any], tmp_path: Path) -> None:
    spec = example(kind, tmp_path)
    adapter: TypeAdapter[PolicySpec] = TypeAdapter(PolicySpec)
    assert adapter.validate_python(encode(spec)) == spec
    assert digest(adapter.validate_python(encode(spec))) == digest(spec)
    assert describe_policy(spec)
    assert as_read(spec, user("x"))[-1].content.endswith("x")
    assert not isinstance(weights_of(spec), Instructed) and not isinstance(root(spec), Tuned | Instructed)
    for name in kind.model_fields:
        value = getattr(spec, name)
        if isinstance(value, int | float):
            assert digest(spec.model_copy(update={name: value + 1})) != digest(spec)
        elif isinstance(value, Chooser):
            other = Chooser(reward=FileReward(path="other.py", digest="d"))
            assert digest(spec.model_copy(update={name: other})) != digest(spec)
        elif isinstance(value, Pretrained | Tuned):
            changed = spec.model_copy(update={name: Pretrained(repo="other")})
            assert digest(changed) != digest(spec)
            assert {stage.key for stage in stages_in(value)} <= {stage.key for stage in stages_in(spec)}


@pytest.mark.parametrize("kind", LOADED, ids=lambda kind: kind.__name__)
def test_it_writes_and_scores(kind: type[Any], tmp_path: Path) -> None:
    bench = Bench(tmp_path / "bench")
    policy = load_policy(example(kind, tmp_path), bench.io())
    io = bench.io("asked")
    found = policy.generate(CHATS, Decoding(max_new_tokens=6), seeds=range(3), io=io)
    assert all(1 <= len(one.tokens) <= 6 for one in found)
    assert found == policy.generate(CHATS, Decoding(max_new_tokens=6), seeds=range(3))
    assert io.meter.generated_tokens == sum(len(one.tokens) for one in found)
    assert io.meter.flops > 0
    greedy = policy.generate(CHATS, Decoding(max_new_tokens=6, temperature=0), seeds=range(3))
    first = policy.session(CHATS).logits().argmax(-1).tolist()
    assert [one.tokens[0] for one in greedy] == first
    for one in policy.loglikelihood([(chat, "red.") for chat in CHATS]):
        assert one.logprob < 0 and one.n_tokens == 5
    assert len(prompts_of(policy, CHATS[0])) == len(policy.parts) >= 1


@pytest.mark.parametrize("kind", LOADED, ids=lambda kind: kind.__name__)
def test_stages_take_it(kind: type[Any], tmp_path: Path) -> None:
    """A generation of a task's answers, and the reference that preference methods hold a policy against."""
    import pyarrow.parquet as pq
    from safetensors.torch import load_file

    from tests.models.asks import Asks

    spec, bench = example(kind, tmp_path), Bench(tmp_path / "bench")
    answers = Generate(policy=spec, task=Asks(), draws=2, seed=1)
    assert decode(encode(answers)).key == answers.key
    assert pq.read_table(bench.payload(answers) / "completions.parquet").num_rows == 2 * len(Asks().prompts())
    pairs = data(tmp_path / "preferences.jsonl", PREFERENCES)
    scores = load_file(
        bench.payload(ReferenceLogprobs(policy=spec, data=pairs, max_length=64)) / "logprobs.safetensors"
    )
    policy = load_policy(spec, bench.io())
    expected = [
        one.logprob
        for row in PREFERENCES
        for one in policy.loglikelihood([(user(row["prompt"]), row["chosen"]), (user(row["prompt"]), row["rejected"])])
    ]
    assert scores["logprob"].flatten().tolist() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_it_can_be_trained_on_unless_it_has_no_weights(kind: type[Any], tmp_path: Path) -> None:
    spec, bench = example(kind, tmp_path), Bench(tmp_path / "bench")
    if kind in (Proxy, BestOf, Outputs):
        with pytest.raises(BenchError, match="cannot be trained|no weights to train|no model"):
            load_trainable(spec, bench.io(), lora=None, seed=0)
        with pytest.raises(BenchError, match="trained on top"):
            Tuned(base=spec, by=WriteTiny(seed=3))
    else:
        assert any(one.requires_grad for one in load_trainable(spec, bench.io(), lora=None, seed=0).model.parameters())
