"""Sampling speed against ``generate`` of transformers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from transformers import LlamaForCausalLM

from bench.core.policy import Decoding
from tests.benchmarks.measure import Row, alternately
from tests.benchmarks.workloads import FIRST, VOCABULARY, Size, policy, tokenizer

NEW_TOKENS = 128
# One token in 64 ends a row of a model with random weights, so rows end after about 64 tokens, some after few.
ENDS = list(range(2, VOCABULARY, 64))


def prompts(count: int, shortest: int, longest: int, seed: int = 0) -> list[list[int]]:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(shortest, longest + 1, size=count)
    return [[int(token) for token in generator.integers(FIRST, VOCABULARY, size=length)] for length in lengths]


def our_sampling(model: LlamaForCausalLM, rows: Sequence[Sequence[int]], samples: int) -> Callable[[int], float]:
    """Return a function that samples and returns tokens per processor second; log-probabilities come with them."""
    sampler = policy(model, tokenizer())
    repeated = [row for row in rows for _ in range(samples)]
    decoding = Decoding(temperature=1.0, max_new_tokens=NEW_TOKENS)

    def run(number: int) -> float:
        seeds = range(number * len(repeated), (number + 1) * len(repeated))
        began = time.process_time()
        found = sampler.generate_ids(repeated, decoding, seeds=list(seeds))
        seconds = time.process_time() - began
        return sum(len(one.tokens) for one in found) / seconds

    return run


def their_sampling(model: LlamaForCausalLM, rows: Sequence[Sequence[int]], samples: int) -> Callable[[int], float]:
    """Return the same of ``generate``: one batch, left-padded; tokens after a row's end are not counted."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    ends = torch.tensor(ENDS)

    def run(number: int) -> float:
        del number
        began = time.process_time()
        with torch.inference_mode():
            found = model.generate(
                input_ids=ids,
                attention_mask=mask,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                max_new_tokens=NEW_TOKENS,
                num_return_sequences=samples,
                pad_token_id=0,
            )[:, width:]
        seconds = time.process_time() - began
        ended = torch.isin(found, ends)
        lengths = torch.where(ended.any(-1), ended.int().argmax(-1) + 1, found.shape[1])
        return float(lengths.sum()) / seconds

    return run


def sampling(size: Size, count: int, samples: int, lengths: tuple[int, int], rounds: int) -> Row:
    """Compare tokens written per second, up to and including each row's end."""
    model = size.model().eval()
    model.generation_config.eos_token_id = ENDS
    rows = prompts(count, *lengths)
    ours, theirs = alternately(our_sampling(model, rows, samples), their_sampling(model, rows, samples), rounds)
    what = "sampling, against generate" if samples == 1 else f"{samples} samples each, against num_return_sequences"
    data = f"{count} prompts of {lengths[0]}-{lengths[1]} tokens, up to {NEW_TOKENS} new, about 1 in 64 ends a row"
    return Row(what, size.name, data, "tokens/s", ours, theirs, 2.0)
