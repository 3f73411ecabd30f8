"""Whether a model lets a prompt be computed once for all responses to it."""

from __future__ import annotations

import logging
import weakref

import torch
from torch import nn

from bench.policy.decoder import Decoder
from bench.policy.layout import Group, lay_out_groups, lay_out_rows, predicting_states

log = logging.getLogger(__name__)
SAME = 1e-4  # the largest difference between the two layouts, relative to the states' size, that counts as rounding


def why_not_shared(decoder: Decoder) -> str | None:
    """Return why this model must compute each response with a prompt of its own, or None when it need not.

    First what the configuration says (a sliding window, a recurrent state, an attention that takes no mask of ours),
    then a trial: one group both ways. What is found is said in the log, once per model.
    """
    if decoder.causal not in _FOUND:
        found = _by_configuration(decoder) or _by_trial(decoder)
        _FOUND[decoder.causal] = found
        if found is not None:
            log.warning("%s: every response gets a prompt of its own: %s", type(decoder.causal).__name__, found)
    return _FOUND[decoder.causal]


_FOUND: weakref.WeakKeyDictionary[nn.Module, str | None] = weakref.WeakKeyDictionary()


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


@torch.inference_mode()
def _by_trial(decoder: Decoder) -> str | None:
    """Compare both ways on two responses to a prompt; a model that ignores positions or the mask is found out here."""
    top = decoder.vocabulary - 1
    group = Group([1 % top, 5 % top, 3 % top], [[4 % top, 2 % top, 6 % top, 1], [7 % top, 3 % top, 1]])
    training = decoder.causal.training
    decoder.causal.eval()
    try:
        shared = predicting_states(decoder, lay_out_groups([group], pad_id=0))
        rows = [(group.prompt, response) for response in group.responses]
        alone = torch.cat([predicting_states(decoder, lay_out_rows([row], pad_id=0)) for row in rows])
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        return f"it takes no block mask or positions ({type(error).__name__}: {error})"
    finally:
        decoder.causal.train(training)
    difference = float((shared - alone).abs().max())
    allowed = SAME * max(float(alone.abs().max()), 1.0)
    return None if difference <= allowed else f"a trial of both ways differed by {difference:.2g}"
