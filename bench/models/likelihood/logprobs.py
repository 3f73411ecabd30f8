"""Log-probabilities of responses, token by token: the one function under every loss and every likelihood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from bench.core.errors import StageError
from bench.models.packing.decoder import Decoder
from bench.models.packing.encoder_decoder import EncoderDecoder
from bench.models.packing.halves import halves_of
from bench.models.packing.hidden_states import depth, reading
from bench.models.packing.layout import (
    Group,
    Layout,
    lay_out_groups,
    lay_out_packed,
    lay_out_rows,
    predicting_states,
    trimmed,
)
from bench.models.packing.sharing import packs, passes_of, trims, why_not_shared

__all__ = [
    "Group",
    "ResponseOutputs",
    "ResponseStates",
    "TokenLogprobs",
    "Want",
    "last_token_states",
    "over_chunks",
    "response_logprobs",
    "response_outputs",
    "response_states",
    "states_at_responses",
]

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
        """Return the log-probability of each response in nats. Shape: (rows,).

        Added up in float64, so that the zeros behind a response do not change how it rounds: a response has the same
        sum whatever it is scored beside.
        """
        return self.values.double().sum(-1).float()

    def mean(self) -> Tensor:
        """Return the log-probability of each response per token in nats. Shape: (rows,)."""
        return self.sum() / self.mask.sum(-1)


@dataclass(frozen=True)
class Want:
    """What to compute besides log-probabilities.

    ``temperature`` (above 0): the log-probabilities and the entropy are of softmax(logits / temperature), which at the
    decoder's own temperature makes them comparable with those it recorded (``bench.models.decoding.sampling.choose``).
    ``entropy``: ``exact`` sums over the vocabulary. ``head``: maps states (tokens, width) to values (tokens, 1).
    ``layers``: whose hidden states to return, numbered as in ``bench.models.packing.hidden_states.reading``.
    """

    temperature: float = 1.0
    entropy: Literal["none", "exact"] = "none"
    head: nn.Module | None = None
    layers: tuple[int, ...] = ()


@dataclass(frozen=True)
class ResponseOutputs:
    """A model's outputs at the response tokens; all of it is differentiable.

    ``entropy`` and ``values``, both (rows, longest response), float32 and 0 outside ``logprobs.mask``: the entropy in
    nats of the distribution each token was drawn from, and the value of the state BEFORE each token. ``layers``
    (tokens, width) each: the states that predict the tokens, row after row without padding.
    """

    logprobs: TokenLogprobs
    entropy: Tensor | None
    values: Tensor | None
    layers: dict[int, Tensor]


@dataclass(frozen=True)
class ResponseStates:
    """Hidden states of response tokens, and those tokens, row after row without padding.

    ``hidden`` (tokens, width) are the last ones, after the final norm; ``targets`` (tokens,); ``mask`` (rows, longest
    response); ``layers`` (tokens, width) each, before the final norm.
    """

    hidden: Tensor
    targets: Tensor
    mask: Tensor
    layers: dict[int, Tensor] = field(default_factory=dict)


def response_logprobs(model: nn.Module, groups: Sequence[Group], *, pad_id: int) -> TokenLogprobs:
    """Return the log-probability of every response token given what stands before it; see ``response_outputs``."""
    return response_outputs(model, groups, pad_id=pad_id).logprobs


def response_outputs(
    model: nn.Module, groups: Sequence[Group], *, pad_id: int, want: Want | None = None
) -> ResponseOutputs:
    """Return the log-probability of every response token given what stands before it, and whatever else is wanted.

    Rows come in group order, responses within a group in order. Logits are cast to float32 before the softmax (a
    16-bit softmax is off by up to a nat over a long response) and exist only for response positions, a bounded
    number at a time. Values are float32 too. ``model`` is a causal or an encoder-decoder language model of
    transformers, with or without a LoRA adapter. Raises StageError for a row without a prompt or without a response, a
    temperature that is not above 0, and a layer that the model does not have.
    """
    want = Want() if want is None else want
    if not want.temperature > 0:
        raise StageError(f"log-probabilities at temperature {want.temperature} are not defined. Give one above 0.")
    halves = halves_of(model)
    states = response_states(halves, groups, pad_id=pad_id, layers=want.layers)

    def scores(hidden: Tensor, targets: Tensor) -> Tensor:
        logits = halves.logits(hidden)
        if want.temperature != 1:
            logits = logits / want.temperature
        logprobs = -cross_entropy(logits, targets, reduction="none")
        return logprobs if want.entropy == "none" else torch.stack([logprobs, entropy_of(logits)], dim=-1)

    found = torch.cat(over_chunks(scores, states, halves.vocabulary))
    logprobs, entropy = (found, None) if want.entropy == "none" else found.unbind(-1)
    return ResponseOutputs(
        logprobs=TokenLogprobs(values=_in_rows(logprobs, states.mask), mask=states.mask),
        entropy=None if entropy is None else _in_rows(entropy, states.mask),
        values=None if want.head is None else _in_rows(_values(want.head, states.hidden), states.mask),
        layers=states.layers,
    )


def entropy_of(logits: Tensor) -> Tensor:
    """Return the entropy of softmax(logits) in nats, log Z - E[logit]. Shape: logits', without the vocabulary."""
    return logits.logsumexp(-1) - (logits.softmax(-1) * logits).sum(-1)


def states_at_responses(
    model: nn.Module, groups: Sequence[Group], *, pad_id: int, layers: Sequence[int] = ()
) -> ResponseStates:
    """Return the hidden states AT every response token, the last token's included: what has read that token.

    (``response_states`` returns the states that predict the tokens, which have not read them.) A token appended to
    each response makes the last real one be computed; it stands behind it, is itself left out, and changes nothing.
    """
    longer = [Group(group.prompt, [[*response, pad_id] for response in group.responses]) for group in groups]
    rows = [len(response) for group in groups for response in group.responses]
    if not all(rows):
        raise StageError(f"row {rows.index(0)} has an empty response, so there is no state at its tokens.")
    found = response_states(halves_of(model), longer, pad_id=pad_id, layers=layers)
    # What predicts the first token stands at the prompt's end; each later one is predicted at the token before it.
    start = torch.zeros_like(found.mask)
    start[:, 0] = True
    at = (~start)[found.mask].nonzero()[:, 0]
    tokens = found.targets.index_select(0, at - 1)
    return ResponseStates(
        hidden=found.hidden.index_select(0, at),
        targets=tokens,
        mask=found.mask[:, 1:],
        layers={layer: states.index_select(0, at) for layer, states in found.layers.items()},
    )


def last_token_states(model: nn.Module, groups: Sequence[Group], *, pad_id: int) -> Tensor:
    """Return the last hidden state, after the final norm, at the last token of each response. Shape: (rows, width).

    It is what a reward head reads.
    """
    states = states_at_responses(model, groups, pad_id=pad_id)
    return states.hidden.index_select(0, states.mask.sum(-1).cumsum(0) - 1)


def response_states(
    halves: Decoder | EncoderDecoder, groups: Sequence[Group], *, pad_id: int, layers: Sequence[int] = ()
) -> ResponseStates:
    """Return the hidden states at the positions that predict response tokens, those of ``layers`` beside the last.

    A prompt with several responses is computed once for all of them where the model allows it. Raises StageError for
    layers of an encoder-decoder.
    """
    rows = [(group.prompt, response) for group in groups for response in group.responses]
    for number, (prompt, response) in enumerate(rows):
        if not prompt or not response:
            missing = "response" if prompt else "prompt"
            raise StageError(f"row {number} has an empty {missing}, so its log-probability is not defined.")
    counts = [len(response) for _, response in rows]
    lengths = torch.tensor(counts)[:, None]
    mask = torch.arange(int(lengths.max())) < lengths
    targets = torch.tensor([token for _, response in rows for token in response])
    if isinstance(halves, EncoderDecoder):
        if layers:
            raise StageError("the hidden states of layers are read of causal language models only.")
        hidden, others = halves.states(groups, pad_id), []
    else:
        passes = _passes(halves, groups, rows, pad_id)
        found = [(numbers, _read(halves, layout, layers)) for numbers, layout in passes]
        hidden, *others = (
            _in_order([(numbers, states[which]) for numbers, states in found], counts)
            for which in range(1 + len(layers))
        )
    return ResponseStates(
        hidden=hidden,
        targets=targets.to(halves.device),
        mask=mask.to(halves.device),
        layers=dict(zip(layers, others, strict=True)),
    )


def over_chunks(compute: Callable[[Tensor, Tensor], Tensor], states: ResponseStates, vocabulary: int) -> list[Tensor]:
    """Return ``compute(hidden, targets)`` for consecutive chunks of the response tokens, few enough for memory.

    With gradients on and more than one chunk, each chunk's logits are computed again in the backward pass instead of
    kept, so that memory does not grow with vocabulary x length.
    """
    count = min(len(states.targets), -(-len(states.targets) * vocabulary // LOGITS_AT_ONCE))
    # Of even sizes: a product over one to three rows is rounded otherwise than one over more.
    chunks = list(zip(states.hidden.tensor_split(count), states.targets.tensor_split(count), strict=True))
    if len(chunks) > 1 and torch.is_grad_enabled():
        return [checkpoint(compute, hidden, targets, use_reentrant=False) for hidden, targets in chunks]
    return [compute(hidden, targets) for hidden, targets in chunks]


def _passes(
    decoder: Decoder, groups: Sequence[Group], rows: Sequence[tuple[Sequence[int], Sequence[int]]], pad_id: int
) -> list[tuple[list[int], Layout]]:
    """Return the layout of every forward pass, with the numbers of the rows in it: one, where rows can share it."""
    apart = passes_of(decoder, [len(prompt) + len(response) - 1 for prompt, response in rows])
    if len(apart) > 1:
        return [(numbers, lay_out_rows([rows[number] for number in numbers], pad_id)) for numbers in apart]
    if packs(decoder):
        packed = lay_out_packed(groups)
        return [(apart[0], trimmed(packed) if trims(decoder) else packed)]
    if any(len(group.responses) > 1 for group in groups) and why_not_shared(decoder) is None:
        return [(apart[0], lay_out_groups(groups, pad_id))]
    return [(apart[0], lay_out_rows(rows, pad_id))]


def _read(decoder: Decoder, layout: Layout, layers: Sequence[int]) -> list[Tensor]:
    """Return the states of one pass that predict the response tokens: the last ones, then those of ``layers``."""
    with reading(decoder, layers) as seen:
        hidden = predicting_states(decoder, layout)
    last = depth(decoder) if layers else None
    return [hidden, *((layout.read_from_last if layer == last else layout.read)(seen[layer]) for layer in layers)]


def _in_order(parts: Sequence[tuple[list[int], Tensor]], counts: Sequence[int]) -> Tensor:
    """Return the states of several passes, row after row. Shape: (tokens, width)."""
    if len(parts) == 1:
        return parts[0][1]
    found: dict[int, Tensor] = {}
    for numbers, states in parts:
        found.update(zip(numbers, states.split([counts[number] for number in numbers]), strict=True))
    return torch.cat([found[number] for number in range(len(counts))])


def _in_rows(found: Tensor, mask: Tensor) -> Tensor:
    """Return one number per token as rows, 0 where there is no token."""
    rows = torch.zeros(mask.shape, dtype=torch.float32, device=found.device)
    return rows.masked_scatter(mask, found)


def _values(head: nn.Module, hidden: Tensor) -> Tensor:
    with torch.autocast(hidden.device.type, enabled=False):
        values: Tensor = head(hidden.float())
    return values.squeeze(-1)
