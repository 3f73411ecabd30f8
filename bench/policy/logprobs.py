"""The log-probabilities of responses: the one function under every loss and every likelihood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from bench.core.errors import StageError
from bench.policy.decoder import Decoder, decoder_of
from bench.policy.layout import Group, lay_out_groups, lay_out_packed, lay_out_rows, predicting_states
from bench.policy.sharing import packs, why_not_shared

__all__ = ["Group", "TokenLogprobs", "over_chunks", "response_logprobs", "response_states"]

# How many logits are alive at once: 2**26 float32 numbers are 256 MiB. Chosen for memory, changes no result.
LOGITS_AT_ONCE = 2**26


@dataclass(frozen=True)
class TokenLogprobs:
    """Log-probabilities of response tokens, one row per response.

    ``values`` (rows, longest response) is float32, differentiable, and 0 where ``mask`` is False; ``mask`` (rows,
    longest response) is True on the response's tokens.
    """

    values: Tensor
    mask: Tensor

    def sum(self) -> Tensor:
        """Return the log-probability of each response in nats. Shape: (rows,)."""
        return self.values.sum(-1)

    def mean(self) -> Tensor:
        """Return the log-probability of each response per token in nats. Shape: (rows,)."""
        return self.values.sum(-1) / self.mask.sum(-1)


@dataclass(frozen=True)
class ResponseStates:
    """The hidden states that predict the response tokens, and those tokens, row after row without padding.

    ``hidden`` (tokens, width), ``targets`` (tokens,), ``mask`` (rows, longest response).
    """

    hidden: Tensor
    targets: Tensor
    mask: Tensor


def response_logprobs(model: nn.Module, groups: Sequence[Group], *, pad_id: int) -> TokenLogprobs:
    """Return the log-probability of every response token given what stands before it.

    Rows come in group order, responses within a group in order. Logits are cast to float32 before the softmax (a
    16-bit softmax is off by up to a nat over a long response) and exist only for response positions, a bounded
    number at a time. ``model`` is a causal language model of transformers, with or without a LoRA adapter. Raises
    StageError for a row without a prompt or without a response.
    """
    decoder = decoder_of(model)
    states = response_states(decoder, groups, pad_id=pad_id)

    def logprobs(hidden: Tensor, targets: Tensor) -> Tensor:
        return -cross_entropy(decoder.logits(hidden), targets, reduction="none")

    found = torch.cat(over_chunks(logprobs, states, decoder.vocabulary))
    values = torch.zeros(states.mask.shape, dtype=torch.float32, device=found.device)
    return TokenLogprobs(values=values.masked_scatter(states.mask, found), mask=states.mask)


def response_states(decoder: Decoder, groups: Sequence[Group], *, pad_id: int) -> ResponseStates:
    """Return the hidden states at the positions that predict response tokens.

    A prompt with several responses is computed once for all of them where the model allows it.
    """
    rows = [(group.prompt, response) for group in groups for response in group.responses]
    for number, (prompt, response) in enumerate(rows):
        if not prompt or not response:
            missing = "response" if prompt else "prompt"
            raise StageError(f"row {number} has an empty {missing}, so its log-probability is not defined.")
    if packs(decoder):
        layout = lay_out_packed(groups)
    elif any(len(group.responses) > 1 for group in groups) and why_not_shared(decoder) is None:
        layout = lay_out_groups(groups, pad_id)
    else:
        layout = lay_out_rows(rows, pad_id)
    lengths = torch.tensor([len(response) for _, response in rows])[:, None]
    mask = torch.arange(int(lengths.max())) < lengths
    targets = torch.tensor([token for _, response in rows for token in response])
    return ResponseStates(
        hidden=predicting_states(decoder, layout), targets=targets.to(decoder.device), mask=mask.to(decoder.device)
    )


def over_chunks(compute: Callable[[Tensor, Tensor], Tensor], states: ResponseStates, vocabulary: int) -> list[Tensor]:
    """Return ``compute(hidden, targets)`` for consecutive chunks of the response tokens, few enough for memory.

    With gradients on and more than one chunk, each chunk's logits are computed again in the backward pass instead of
    kept, so that memory does not grow with vocabulary x length.
    """
    size = max(1, LOGITS_AT_ONCE // vocabulary)
    chunks = list(zip(states.hidden.split(size), states.targets.split(size), strict=True))
    if len(chunks) > 1 and torch.is_grad_enabled():
        return [checkpoint(compute, hidden, targets, use_reentrant=False) for hidden, targets in chunks]
    return [compute(hidden, targets) for hidden, targets in chunks]
