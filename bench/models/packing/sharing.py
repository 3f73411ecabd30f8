"""Whether a model lets a prompt be computed once for all responses to it, and groups lie end to end in one row."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from bench.models.packing.decoder import Decoder
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


@dataclass
class _Found:
    """What is known of a model: why it cannot share, and how it takes packed rows.

    ``trims``: whether its last block leaves out what nothing reads. ``logged``: whether the log has it.
    """

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
        reason = _by_configuration(decoder)
        if reason is None:
            reason = _by_trial(decoder, [lay_out_groups([group], pad_id=0) for group in _trial_groups(decoder)])
        packable = reason is None and decoder.causal.config._attn_implementation == "sdpa"
        trims = packable and _trims(decoder)
        packed = trims or (packable and _by_trial(decoder, [lay_out_packed(_trial_groups(decoder))]) is None)
        _FOUND[decoder.causal] = _Found(reason, packed, trims)
    return _FOUND[decoder.causal]


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
    with _as_in_evaluation(decoder.causal), torch.autocast(decoder.device.type, enabled=False):
        try:
            shared = torch.cat([predicting_states(decoder, layout) for layout in layouts])
            alone = torch.cat([predicting_states(decoder, lay_out_rows([row], pad_id=0)) for row in rows])
        except (TypeError, ValueError, RuntimeError, IndexError) as error:
            return f"it takes no block mask or positions ({type(error).__name__}: {error})"
    difference = float((shared - alone).abs().max())
    allowed = SAME[decoder.causal.dtype] * max(float(alone.abs().max()), 1.0)
    return None if difference <= allowed else f"a trial of both ways differed by {difference:.2g}"


@contextmanager
def _as_in_evaluation(model: nn.Module) -> Iterator[None]:
    """Switch dropout off, and give every module its own mode back: an adapter's dropout may be on by itself."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
