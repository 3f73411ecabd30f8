"""Batched sampling with a key-value cache, and the slow primitive it must agree with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from bench.core.errors import StageError
from bench.core.policy import Decoding
from bench.models.decoding.noise import FACTOR, SHIFT, UNIT, keys, token_words

# Rows of one batch, and tokens that its cache may hold in the end. Chosen on one CPU thread for a model of 0.3 million
# parameters (128 rows were 1.0 to 1.3 times as fast as 64, 256 up to 1.4 times as fast as 128 and more uneven in
# length); 2**15 tokens of a model of seven billion parameters take 16 GiB in 16 bits.
ROWS_AT_ONCE = 128
TOKENS_AT_ONCE = 2**15
# Rows that have ended leave the batch once no more than this share still writes: leaving copies the whole cache.
LEAVE_AT = 0.75
# A bound and what an id reaches are both rounded, by some units of 2^-24: where they are that near, both are tried.
BOUND_ROUNDING = 1 + 1e-6


@dataclass
class Drawn:
    """What one row wrote: its tokens (the end token included when it was written) and their log-probabilities."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


class Steps(Protocol):
    """A decoding session whose rows can leave it; see ``bench.models.decoding.session``."""

    def logits(self) -> Tensor:
        """Return float32 logits of the next token, before temperature. Shape: (batch, vocabulary)."""
        ...

    def push(self, tokens: Tensor) -> None:
        """Append one token per row. Shape: (batch,)."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows, given by their numbers."""
        ...


def check_prompts(prompts: Sequence[Sequence[int]], max_new_tokens: int, context: int | None) -> None:
    """Raise StageError for the first prompt that is empty or leaves no room in the context for its completion."""
    for number, prompt in enumerate(prompts):
        if not prompt:
            raise StageError(f"prompt {number} has no tokens and the tokenizer no beginning token to start from.")
        if context is not None and len(prompt) + max_new_tokens > context:
            raise StageError(
                f"prompt {number} has {len(prompt)} tokens; with max_new_tokens {max_new_tokens} that is more than the "
                f"model's context of {context}. Shorten the prompt or lower max_new_tokens."
            )


def batches(lengths: Sequence[int], tokens_at_once: int = TOKENS_AT_ONCE) -> Iterator[list[int]]:
    """Yield the numbers of the rows of each batch: rows of similar length together, the longest first."""
    order = sorted(range(len(lengths)), key=lambda number: (-lengths[number], number))
    while order:
        size = max(1, min(ROWS_AT_ONCE, tokens_at_once // max(1, lengths[order[0]])))
        yield order[:size]
        order = order[size:]


@torch.inference_mode()
def draw_batch(
    session: Steps,
    decoding: Decoding,
    seeds: Sequence[int],
    end_ids: frozenset[int],
    on_tokens: Callable[[int], None],
) -> list[Drawn]:
    """Return what each row of a session writes until an end token or ``max_new_tokens``.

    ``on_tokens`` is called after each step with the number of tokens written.
    """
    drawn = [Drawn() for _ in seeds]
    noise = torch.from_numpy(keys(seeds, decoding.max_new_tokens))
    rows = list(range(len(seeds)))  # the row of each place in the session
    live = list(rows)  # the places whose row is still writing
    for position in range(decoding.max_new_tokens):
        tokens, logprobs = choose(session.logits(), decoding, noise[:, position])
        on_tokens(len(live))
        written, scores = tokens.tolist(), logprobs.tolist()
        for place in live:
            drawn[rows[place]].tokens.append(written[place])
            drawn[rows[place]].logprobs.append(scores[place])
        live = [place for place in live if written[place] not in end_ids]
        if not live or position + 1 == decoding.max_new_tokens:
            break
        if len(live) <= LEAVE_AT * len(rows):
            staying = torch.tensor(live, device=tokens.device)
            session.keep(staying)
            tokens, noise = tokens[staying], noise[live]
            rows = [rows[place] for place in live]
            live = list(range(len(rows)))
        session.push(tokens)
    return drawn


def choose(logits: Tensor, decoding: Decoding, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Return the next token of each row and its log-probability. Shapes: (batch,) and (batch,), int64 and float32.

    ``logits`` (batch, vocabulary) float32, ``noise`` (batch, 2) the row's ``keys`` at this position. At temperature 0
    the most probable token is taken (the smallest id among equals). Otherwise it is the argmax over token ids of
    logits / temperature + G, with the Gumbel noise G of ``bench.models.decoding.noise``, among what top-k and then
    top-p keep: a draw from the softmax of these. An id's noise does not depend on the others, so a rounding error of
    one logit can change the token only where two ids are as near as that, and a policy near another one mostly draws
    the same token from the same noise. The log-probability is under softmax(logits / temperature) before top-k and
    top-p (temperature 1 when greedy).
    """
    if decoding.temperature == 0:
        tokens = largest(logits)
        return tokens, _picked(logits.log_softmax(-1), tokens)
    scores = logits if decoding.temperature == 1 else logits / decoding.temperature
    probabilities = scores.softmax(-1)
    weights = filtered(probabilities, decoding)
    tokens = first_to_arrive(weights, uniforms(noise.to(logits.device), logits.shape[-1]))
    return tokens, _picked(probabilities, tokens).log()


def first_to_arrive(weights: Tensor, uniform: Tensor) -> Tensor:
    """Return the argmin of E / weight over ids, E = -log(1 - uniform): that of the Gumbel noise. Shape: (batch,).

    Shapes: (batch, vocabulary) both. E is never below 2 u / (2 - u) (the first term of the series of twice the inverse
    hyperbolic tangent of u / (2 - u)), so weight / u - weight / 2 is the most that an id can reach; where the first by
    that bound reaches more than all other bounds, no other logarithm is taken.
    """
    bounds = torch.sub(weights / uniform, weights, alpha=0.5)
    tokens = largest(bounds)
    reached = _picked(weights, tokens) / -_picked(uniform, tokens).neg().log1p()
    others = bounds.scatter_(-1, tokens[:, None], 0).amax(-1)
    undecided = reached <= others * BOUND_ROUNDING
    if undecided.any():
        rows = undecided.nonzero()[:, 0]
        tokens[rows] = largest(weights[rows] / -uniform[rows].neg().log1p())
    return tokens


def largest(scores: Tensor) -> Tensor:
    """Return the id of the largest score of each row, the smallest id among equals. Shape: (batch,), int64."""
    # NumPy's argmax is vectorised and PyTorch's of a processor is not: a fifth to a third of the time.
    return torch.from_numpy(scores.numpy().argmax(-1)) if scores.device.type == "cpu" else scores.argmax(-1)


def uniforms(noise: Tensor, count: int) -> Tensor:
    """Return v of ``bench.models.decoding.noise`` of the token ids below ``count``. Shape: (batch, count), float32.

    ``noise`` (batch, 2): ``keys``. Most operations are done in place: this is done at every step of decoding.
    """
    a, b = noise[:, :, None].unbind(1)
    x = _token_words(count, noise.device) * a
    x += b
    high = x >> SHIFT  # of a signed number: the sign's copies are masked
    high &= 2 ** (32 - SHIFT) - 1
    x ^= high
    x *= FACTOR
    return x.float().add_(0.5).abs_().mul_(UNIT)


@lru_cache(maxsize=8)
def _token_words(count: int, device: torch.device) -> Tensor:
    return torch.from_numpy(token_words(count).copy()).to(device)


def filtered(weights: Tensor, decoding: Decoding) -> Tensor:
    """Return the weights with those outside top-k and top-p set to 0. Shape: (batch, vocabulary).

    Where something is cut they are float64, so that the sums of top-p do not depend on rounding.

    ``top_k`` keeps the k largest. ``top_p`` keeps the fewest largest that reach that share of what is left (Holtzman
    et al. 2019, arXiv:1904.09751). Among equal weights the smaller id counts as larger.
    """
    if decoding.top_k is None and decoding.top_p == 1:
        return weights
    weights = weights.double()
    ordered, order = weights.sort(stable=True, dim=-1, descending=True)
    if decoding.top_k is not None:
        ordered[:, decoding.top_k :] = 0
    if decoding.top_p < 1:
        before = ordered.cumsum(-1) - ordered
        ordered = ordered.masked_fill(before >= decoding.top_p * ordered.sum(-1, keepdim=True), 0)
    return torch.zeros_like(weights).scatter(-1, order, ordered)


def _picked(scores: Tensor, tokens: Tensor) -> Tensor:
    return scores.gather(-1, tokens[:, None])[:, 0]
