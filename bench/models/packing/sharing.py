"""What may share a forward pass of a model: rows with each other, a prompt with its responses, groups in one row."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from bench.core.errors import StageError
from bench.models.packing.decoder import Decoder, varied
from bench.models.packing.layout import (
    Group,
    Layout,
    lay_out_groups,
    lay_out_packed,
    lay_out_rows,
    predicting_states,
    trimmed,
)
from bench.models.packing.llama_blocks import patch_blocks, unpatch_blocks

log = logging.getLogger(__name__)
# The largest difference between two layouts, relative to the states' size, that counts as rounding.
SAME = {torch.float64: 1e-4, torch.float32: 1e-4, torch.bfloat16: 0.05, torch.float16: 0.01}
# The same for one state, relative to how much states differ from each other. In 16 bits a product rounds otherwise in
# another shape; a state that is really another one is off by about 1.
SAME_STATE, SAME_STATE_16 = 1e-4, 0.1
LONGEST = 9  # tokens of a row in a trial
_FAILS = (AttributeError, TypeError, ValueError, RuntimeError, IndexError, KeyError, NotImplementedError)

# Which rows may stand in one pass: any, padded on the right; those of one length; none beside another.
Rows = Literal["padded", "level", "alone"]
_SAID = {"level": "only rows of equal length share a pass", "alone": "every row is computed alone"}


@dataclass
class _Found:
    """What is known of a model: which rows share a pass and why not all, why it cannot share a prompt, how it packs.

    ``trims``: whether its last block leaves out what nothing reads. ``logged``: whether the log has it.
    """

    rows: Rows
    rows_reason: str | None
    reason: str | None
    packs: bool
    trims: bool
    logged: bool = False


_FOUND: weakref.WeakKeyDictionary[nn.Module, _Found] = weakref.WeakKeyDictionary()


def why_not_shared(decoder: Decoder) -> str | None:
    """Return why this model must compute each response with a prompt of its own, or None when it need not.

    First what the configuration says (a sliding window, a recurrent state, an attention that takes no mask of ours),
    then a trial: one group both ways. What is found is logged, once per model.
    """
    found = _find(decoder)
    if found.reason is not None and not found.logged:
        log.warning("%s: every response gets a prompt of its own: %s", type(decoder.causal).__name__, found.reason)
        found.logged = True
    return found.reason


def passes_of(decoder: Decoder, lengths: Sequence[int]) -> list[list[int]]:
    """Return the numbers of the rows of each forward pass, given how many tokens of each are read.

    All rows share one unless a trial found that the model's states are then not those of the row alone, or rows are
    read with different rotary frequencies (``bench.models.packing.rope``). What a trial found is logged, once.
    """
    rows, rope = _find(decoder).rows, decoder.rope
    if rows == "padded" and (rope is None or max(lengths) <= rope.boundary):
        return [list(range(len(lengths)))]
    found: dict[tuple[int, int], list[int]] = {}
    for number, length in enumerate(lengths):
        apart = {"padded": 0, "level": length, "alone": number}[rows]
        found.setdefault((apart, 0 if rope is None else rope.kind(length)), []).append(number)
    if len(found) > 1 and any(isinstance(part, FSDPModule) for part in decoder.backbone.modules()):
        raise StageError(
            f"{type(decoder.causal).__name__} must read these rows in {len(found)} passes, and processes that share "
            "out its weights must run it equally often. Run it with --engine processes, or with a smaller max_length."
        )
    return list(found.values())


def packs(decoder: Decoder) -> bool:
    """Tell whether groups should lie end to end in one row: on a CPU, where a trial gave the same states.

    On an accelerator one attention call per group would be many small kernels, and padded rows are faster. Compiled
    blocks would be compiled anew for every batch. Under autocast the blocks' parts have types of their own, which a
    patched block does not follow.
    """
    if decoder.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return False
    return _find(decoder).packs and not _is_compiled(decoder)


def _is_compiled(decoder: Decoder) -> bool:
    return any(module._compiled_call_impl is not None for module in decoder.backbone.modules())


def trims(decoder: Decoder) -> bool:
    """Tell whether, in packed rows, the last block may leave out the positions that predict nothing.

    The model's blocks are of a kind that ``bench.models.packing.llama_blocks`` knows, and a trial gave the same states.
    """
    return packs(decoder) and _find(decoder).trims


def _find(decoder: Decoder) -> _Found:
    if decoder.causal not in _FOUND:
        rows, rows_reason = _rows_by_trial(decoder)
        if rows_reason is not None:
            log.warning("%s: %s: %s", type(decoder.causal).__name__, _SAID[rows], rows_reason)
        reason = rows_reason if rows_reason is not None else _by_configuration(decoder)
        if reason is None:
            reason = _by_trial(decoder, [lay_out_groups([group], pad_id=0) for group in _trial_groups(decoder)])
        packable = reason is None and decoder.causal.config._attn_implementation == "sdpa"
        trims = packable and _trims(decoder)
        packed = trims or (packable and _by_trial(decoder, [lay_out_packed(_trial_groups(decoder))]) is None)
        _FOUND[decoder.causal] = _Found(rows, rows_reason, reason, packed, trims)
    return _FOUND[decoder.causal]


def _rows_by_trial(decoder: Decoder) -> tuple[Rows, str | None]:
    """Return which rows share a pass, and why not all of them: each is computed with others and alone.

    Padding on the right must change no state before it, and neither must a neighbour.
    """
    rows = trial_rows(decoder)
    level = [row for row in rows if len(row) == len(rows[0])]
    reason = differs(decoder, lambda: _states(decoder, rows), lambda: _alone(decoder, rows))
    if reason is None:
        return "padded", None
    if differs(decoder, lambda: _states(decoder, level), lambda: _alone(decoder, level)) is None:
        return "level", reason
    return "alone", reason


def trial_rows(decoder: Decoder) -> list[list[int]]:
    """Return rows of tokens all over the vocabulary: three of one length, two shorter ones.

    They are short enough for the model to write a few tokens behind them, and in a model whose rotary frequencies
    change with the length, to be read with one set.
    """
    limits = [getattr(decoder.causal.config, "max_position_embeddings", None) or LONGEST * 2]
    limits += [] if decoder.rope is None else [decoder.rope.boundary]
    longest = max(2, min(LONGEST, min(limits) - 4))
    start, rows = 0, []
    for length in (longest, max(2, longest // 2), longest, 2, longest):
        rows.append(varied(length, decoder.vocabulary, start).tolist())
        start += length
    return rows


def _states(decoder: Decoder, rows: list[list[int]]) -> Tensor:
    return predicting_states(decoder, lay_out_rows([(row[:1], row[1:]) for row in rows], pad_id=0))


def _alone(decoder: Decoder, rows: list[list[int]]) -> Tensor:
    return torch.cat([_states(decoder, [row]) for row in rows])


@torch.inference_mode()
def differs(decoder: Decoder, one: Callable[[], Tensor], other: Callable[[], Tensor]) -> str | None:
    """Return how much the states of two ways differ, or the error of the first; None where it is no more than rounding.

    The difference is relative to how much the other way's states vary between their rows, so that it is as large for
    a model whose logits are nearly uniform as for any. Both run without dropout and autocast. Shapes: (tokens, width).
    """
    with as_in_evaluation(decoder.causal), torch.autocast(decoder.device.type, enabled=False):
        wanted = other().float()
        try:
            found = one().float()
        except _FAILS as error:
            return f"{type(error).__name__}: {error}"
    # A near tie that 16 bits decide otherwise can send a token to another expert, so there most states must agree.
    share, allowed = (1.0, SAME_STATE) if decoder.causal.dtype == torch.float32 else (0.6, SAME_STATE_16)
    spread = (wanted - wanted.mean(0)).norm(dim=-1).mean().clamp_min(torch.finfo(torch.float32).tiny)
    difference = float(((found - wanted).norm(dim=-1) / spread).quantile(share))
    return None if difference <= allowed else f"a trial of both ways differed by {difference:.2g} of the states' spread"


def _trims(decoder: Decoder) -> bool:
    """Patch the blocks of a known kind, try them, and take it back where their states differ."""
    if decoder.device.type != "cpu" or not patch_blocks(decoder):
        return False
    packed = lay_out_packed(_trial_groups(decoder))
    if _by_trial(decoder, [packed]) is None and _by_trial(decoder, [trimmed(packed)]) is None:
        return True
    unpatch_blocks(decoder)
    return False


def _by_configuration(decoder: Decoder) -> str | None:
    if not decoder.takes_positions:
        return "it takes no positions"
    settings = decoder.causal.config.to_dict()
    attention = decoder.causal.config._attn_implementation
    if attention not in ("sdpa", "eager"):
        return f"its attention ({attention}) takes no block mask"
    kinds = set(settings.get("layer_types") or ()) - {"full_attention"}
    if kinds:
        return f"it has layers of the kind {', '.join(sorted(kinds))}"
    if settings.get("sliding_window") and settings.get("use_sliding_window", True):
        return f"it attends within a window of {settings['sliding_window']} tokens"
    if decoder.causal._is_stateful:
        return "it carries a recurrent state"
    return None


def _trial_groups(decoder: Decoder) -> list[Group]:
    top = decoder.vocabulary - 1
    return [
        Group([1 % top, 5 % top, 3 % top], [[4 % top, 2 % top, 6 % top, 1], [7 % top, 3 % top, 1]]),
        Group([2 % top, 6 % top], [[3 % top, 5 % top, 1]]),
    ]


@torch.inference_mode()
def _by_trial(decoder: Decoder, layouts: list[Layout]) -> str | None:
    """Compare the trial groups in these layouts with rows of their own, one at a time.

    A model that ignores positions or the mask is found out here.
    """
    rows = [(group.prompt, response) for group in _trial_groups(decoder) for response in group.responses]
    with as_in_evaluation(decoder.causal), torch.autocast(decoder.device.type, enabled=False):
        try:
            shared = torch.cat([predicting_states(decoder, layout) for layout in layouts])
            alone = torch.cat([predicting_states(decoder, lay_out_rows([row], pad_id=0)) for row in rows])
        except _FAILS as error:
            return f"it takes no block mask or positions ({type(error).__name__}: {error})"
    difference = float((shared - alone).abs().max())
    allowed = SAME[decoder.causal.dtype] * max(float(alone.abs().max()), 1.0)
    return None if difference <= allowed else f"a trial of both ways differed by {difference:.2g}"


@contextmanager
def as_in_evaluation(model: nn.Module) -> Iterator[None]:
    """Switch dropout off, and give every module its own mode back: an adapter's dropout may be on by itself."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
