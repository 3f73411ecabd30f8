"""What proxied decoding costs beside its three models: their own decoding times, on the same tokens, added up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from bench.core.policy import Decoding, Pretrained, Proxy
from bench.models.decoding.noise import keys
from bench.models.decoding.sampling import LEAVE_AT, ROWS_AT_ONCE, choose
from bench.models.hf import HFPolicy
from bench.models.local import completions
from bench.models.proxy import ProxyPolicy, terms_of
from tests.benchmarks.measure import Row, alternately
from tests.benchmarks.sampling import ENDS, NEW_TOKENS, prompts
from tests.benchmarks.workloads import Size, tokenizer

DECODING = Decoding(temperature=1.0, max_new_tokens=NEW_TOKENS)


def proxied(base: Size, small: Size) -> ProxyPolicy:
    """Return a proxied policy of random weights: a base, and two small models."""
    names = [Pretrained(path=name) for name in ("base", "expert", "antiexpert")]
    models = []
    for spec, size in zip(names, (base, small, small), strict=True):
        model = size.model().eval()
        model.generation_config.eos_token_id = ENDS
        models.append(HFPolicy(spec, model, tokenizer()))
    spec = Proxy(base=names[0], expert=names[1], antiexpert=names[2], alpha=0.5)
    return ProxyPolicy(spec, terms_of(spec), models)


def together(policy: ProxyPolicy, rows: Sequence[Sequence[int]]) -> Callable[[int], float]:
    """Return a function that samples from the proxied policy and returns processor seconds."""
    triples = [(row, row, row) for row in rows]

    def run(number: int) -> float:
        seeds = range(number * len(rows), (number + 1) * len(rows))
        began = time.process_time()
        completions(policy, triples, DECODING, seeds=list(seeds))
        return time.process_time() - began

    return run


def one_by_one(policy: ProxyPolicy, rows: Sequence[Sequence[int]]) -> Callable[[int], float]:
    """Return a function that decodes the same tokens with each model by itself and returns the sum of the seconds."""
    triples = [(row, row, row) for row in rows]

    def run(number: int) -> float:
        seeds = list(range(number * len(rows), (number + 1) * len(rows)))
        written = [one.tokens for one in completions(policy, triples, DECODING, seeds=seeds)]
        seconds = 0.0
        for model in policy.models:
            began = time.process_time()
            replay(model, rows, written, seeds)
            seconds += time.process_time() - began
        return seconds

    return run


@torch.inference_mode()
def replay(
    model: HFPolicy, prompts_of: Sequence[Sequence[int]], written: Sequence[Sequence[int]], seeds: Sequence[int]
) -> None:
    """Decode as ``bench.models.decoding.sampling.draw_batch`` does, choice included, but go on with the tokens that
    are given."""
    session = model.open([(row,) for row in prompts_of])
    noise = torch.from_numpy(keys(seeds, NEW_TOKENS))
    rows = list(range(len(prompts_of)))
    for position in range(NEW_TOKENS):
        tokens, logprobs = choose(session.logits(), DECODING, noise[:, position])
        tokens.tolist(), logprobs.tolist()
        live = [place for place, row in enumerate(rows) if len(written[row]) > position + 1]
        if not live:
            return
        if len(live) <= LEAVE_AT * len(rows):
            session.keep(torch.tensor(live))
            noise = noise[live]
            rows = [rows[place] for place in live]
        session.push(torch.tensor([written[row][min(position, len(written[row]) - 1)] for row in rows]))


def proxying(base: Size, small: Size, count: int, lengths: tuple[int, int], rounds: int) -> Row:
    """Compare the seconds of proxied decoding with the sum of those of its models; one batch, equally composed."""
    assert count <= ROWS_AT_ONCE
    policy = proxied(base, small)
    rows = sorted(prompts(count, *lengths), key=len, reverse=True)
    ours, theirs = alternately(together(policy, rows), one_by_one(policy, rows), rounds)
    data = f"{count} prompts of {lengths[0]}-{lengths[1]} tokens, up to {NEW_TOKENS} new, about 1 in 64 ends a row"
    model = f"{base.name} + 2 x {small.name}"
    return Row("proxied decoding, against its three models' own", model, data, "s", ours, theirs, 1.15, at_most=True)
