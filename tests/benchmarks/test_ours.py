"""Our side of every benchmark still runs with the code as it is; theirs needs TRL and takes minutes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM

from bench.core.policy import Decoding
from methods._train.on_policy.reward_optimisation import Critic
from tests.benchmarks.ppo import END_IN, ending, our_ppo, write_inputs
from tests.benchmarks.proxying import one_by_one, proxied, together
from tests.benchmarks.sampling import our_sampling, prompts
from tests.benchmarks.training import our_dpo, our_reward_model, our_sft
from tests.benchmarks.workloads import Size, pairs, policy, tokenizer

SIZE = Size("Llama 0.02M", 16, 24, 1, 2)


@pytest.fixture
def model() -> LlamaForCausalLM:
    return SIZE.model()


@pytest.mark.parametrize("ours", [our_dpo, our_sft, our_reward_model])
def test_training_takes_time(ours: Callable[..., Callable[[int], float]], model: LlamaForCausalLM) -> None:
    assert ours(model, pairs(4, 8, 8), 2)(0) > 0


def test_sampling_writes_tokens(model: LlamaForCausalLM) -> None:
    assert our_sampling(model, prompts(2, 4, 8), 2)(0) > 0


def test_proxied_decoding_and_its_models_take_time() -> None:
    mixed, rows = proxied(SIZE, SIZE), sorted(prompts(3, 4, 8), key=len, reverse=True)
    assert together(mixed, rows)(0) > 0
    assert one_by_one(mixed, rows)(0) > 0


@pytest.mark.parametrize("critic", ["separate", "shared"])
def test_ppo_takes_time(critic: Critic, model: LlamaForCausalLM, tmp_path: Path) -> None:
    write_inputs(tmp_path, ending(model), 2)
    assert our_ppo(tmp_path, 2, critic)(0) > 0


def test_the_model_for_ppo_ends_a_response_about_as_often_as_it_should() -> None:
    writer = policy(ending(Size("Llama 0.1M", 64, 64, 1, 2).model()), tokenizer())
    found = writer.generate_ids(prompts(256, 8, 16), Decoding(temperature=1.0, max_new_tokens=64), seeds=range(256))
    written = sum(len(one.tokens) for one in found)
    ended = sum(one.finish == "end" for one in found)
    # Its standard deviation is below a tenth; a model that was not changed ends one in 1000.
    assert 0.6 < ended * END_IN / written < 1.5
