"""How groups of a prompt and its responses are laid out as rows of tokens for one forward pass.

There are three ways, equal up to rounding. ``lay_out_rows`` gives every response a row of its own behind its prompt.
``lay_out_groups`` computes a prompt once: the prompt and all its responses stand in one row, ``prompt r1 r2 ...``,
positions restart behind the prompt for each response, and a block mask lets a response see the prompt and itself but
no other response. ``lay_out_packed`` lays such groups end to end in one row without padding, and the attention works
group by group (``bench.models.packing.attention``). In all, the last token of a response is left out, because nothing
is predicted from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench.models.packing.attention import Packing, packing_of, with_tails
from bench.models.packing.decoder import Decoder

PADDING = -1


@dataclass(frozen=True)
class Group:
    """A prompt and the responses to it that are scored together; each response holds at least one token."""

    prompt: Sequence[int]
    responses: Sequence[Sequence[int]]

    def shared_length(self) -> int:
        """Return how many tokens the group takes up when its prompt is computed once."""
        return len(self.prompt) + sum(len(response) - 1 for response in self.responses)


@dataclass(frozen=True)
class Layout:
    """A batch of rows, padded on the right.

    ``ids`` and ``places`` (positions), both (rows, length). ``segments`` (rows, length): 0 in the prompt, k in the
    k-th response, -1 in padding; None where every row is one prompt with one response, so that causal attention needs
    no mask: padding stands on the right, where no state that is read can see it (without a mask the attention kernel
    is the fast causal one, 1.1 times on a CPU). ``predicting`` (response tokens,): the flat index of the position
    whose state predicts each token, response after response. ``packing``: where the groups lie in a packed row.
    """

    ids: Tensor
    places: Tensor
    segments: Tensor | None
    predicting: Tensor
    packing: Packing | None = None

    def read(self, states: Tensor) -> Tensor:
        """Return what predicts the response tokens, (response tokens, width), of a layer's (rows, length, width)."""
        return states.flatten(0, 1).index_select(0, self.predicting.to(states.device))

    def read_from_last(self, states: Tensor) -> Tensor:
        """Return the same of what the last block puts out, which may have left out what nothing reads."""
        if self.packing is None or self.packing.tails is None:
            return self.read(states)
        return states[0].index_select(0, self.packing.tails.predicting.to(states.device))


def lay_out_rows(rows: Sequence[tuple[Sequence[int], Sequence[int]]], pad_id: int) -> Layout:
    """Return the layout in which every (prompt, response) has a row of its own."""
    length = max(len(prompt) + len(response) - 1 for prompt, response in rows)
    ids: list[list[int]] = []
    predicting: list[int] = []
    for number, (prompt, response) in enumerate(rows):
        start = number * length + len(prompt) - 1
        predicting += range(start, start + len(response))
        ids.append([*prompt, *response[:-1], *[pad_id] * (length - len(prompt) - len(response) + 1)])
    places = torch.arange(length)[None]
    return Layout(torch.tensor(ids), places, None, torch.tensor(predicting))


def lay_out_groups(groups: Sequence[Group], pad_id: int) -> Layout:
    """Return the layout in which every prompt stands once, before all its responses."""
    length = max(group.shared_length() for group in groups)
    ids: list[list[int]] = []
    places: list[list[int]] = []
    segments: list[list[int]] = []
    predicting: list[int] = []
    for number, group in enumerate(groups):
        prompt = len(group.prompt)
        row, place, segment = list(group.prompt), list(range(prompt)), [0] * prompt
        for which, response in enumerate(group.responses, 1):
            start = number * length + len(row)
            predicting += [number * length + prompt - 1, *range(start, start + len(response) - 1)]
            row += response[:-1]
            place += range(prompt, prompt + len(response) - 1)
            segment += [which] * (len(response) - 1)
        missing = length - len(row)
        ids.append(row + [pad_id] * missing)
        places.append(place + [0] * missing)
        segments.append(segment + [PADDING] * missing)
    return Layout(torch.tensor(ids), torch.tensor(places), torch.tensor(segments), torch.tensor(predicting))


def lay_out_packed(groups: Sequence[Group]) -> Layout:
    """Return the layout in which all groups lie end to end in one row, each prompt once, without padding."""
    ids: list[int] = []
    places: list[int] = []
    predicting: list[int] = []
    parts: list[list[int]] = []
    for group in groups:
        begin, prompt = len(ids), len(group.prompt)
        ids += group.prompt
        places += range(prompt)
        for response in group.responses:
            predicting += [begin + prompt - 1, *range(len(ids), len(ids) + len(response) - 1)]
            ids += response[:-1]
            places += range(prompt, prompt + len(response) - 1)
        parts.append([prompt, *[len(response) - 1 for response in group.responses]])
    return Layout(torch.tensor([ids]), torch.tensor([places]), None, torch.tensor(predicting), packing_of(parts))


def trimmed(layout: Layout) -> Layout:
    """Return a packed layout whose last block leaves out what nothing reads; the model's blocks must be patched."""
    return layout if layout.packing is None else replace(layout, packing=with_tails(layout.packing))


def block_mask(segments: Tensor) -> Tensor:
    """Return which position sees which. Shape: (rows, 1, length, length), bool."""
    seen_by, seen = segments[:, :, None], segments[:, None, :]
    length = segments.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    return (earlier & ((seen == 0) | (seen == seen_by)))[:, None]


def predicting_states(decoder: Decoder, layout: Layout) -> Tensor:
    """Return the states that predict the response tokens, in order. Shape: (response tokens, width)."""
    device = decoder.device
    mask = None
    if layout.packing is not None:
        # A mask of four dimensions keeps transformers from making one; attention within groups does not read it.
        mask = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)
    elif layout.segments is not None:
        mask = block_mask(layout.segments.to(device))
        if decoder.causal.config._attn_implementation != "sdpa":  # the eager attention adds its mask to the scores
            scores = torch.zeros(mask.shape, dtype=decoder.causal.dtype, device=device)
            mask = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    hidden = decoder.hidden(
        layout.ids.to(device), attention_mask=mask, position_ids=layout.places.to(device), packing=layout.packing
    )
    return layout.read_from_last(hidden)
