"""Hidden states of chosen layers, read while a model runs, without keeping those of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from bench.core.errors import StageError
from bench.models.packing.decoder import Decoder


def depth(decoder: Decoder) -> int:
    """Return the number of blocks L of a model; its layers are numbered from 0 (the embeddings) to L."""
    return len(blocks(decoder))


def blocks(decoder: Decoder) -> nn.ModuleList:
    """Return the blocks of a model, an adapter's layers within them.

    They are the outermost list of modules that is as long as the configuration says the model is deep. Raises
    StageError where there is none, or more than one.
    """
    count = decoder.causal.config.get_text_config().num_hidden_layers
    lists = [
        (name.count("."), part)
        for name, part in decoder.backbone.named_modules()
        if isinstance(part, nn.ModuleList) and len(part) == count
    ]
    outermost = [part for level, part in lists if level == min(level for level, _ in lists)]
    if len(outermost) != 1:
        raise StageError(
            f"{type(decoder.causal).__name__} has {len(outermost)} lists of {count} blocks, so it is not known which "
            "are its layers. Use another architecture, or teach bench/models/packing/hidden_states.py this one."
        )
    return outermost[0]


@contextmanager
def reading(decoder: Decoder, layers: Sequence[int]) -> Iterator[dict[int, Tensor]]:
    """Fill the mapping that is given, as the model runs, with the states of these layers: (rows, length, width).

    Numbered as ``hidden_states`` of transformers: 0 is what enters the first block, l what block l - 1 puts out. The
    last layer is read before the final norm like all others (transformers gives it after the norm). The states carry
    gradients where the model's own do. Raises StageError for a layer that the model does not have.
    """
    found: dict[int, Tensor] = {}
    with ExitStack() as hooks:
        if layers:
            parts = blocks(decoder)
            for layer in layers:
                if not 0 <= layer <= len(parts):
                    raise StageError(f"there is no layer {layer}: the model's layers are 0 to {len(parts)}.")
                handle = _hooked(parts, layer, found)
                hooks.callback(handle.remove)
        yield found


def _hooked(parts: nn.ModuleList, layer: int, found: dict[int, Tensor]) -> Any:
    def entering(_block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        found[layer] = args[0] if args else kwargs["hidden_states"]

    def leaving(_block: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        found[layer] = output[0] if isinstance(output, tuple) else output

    if layer == 0:
        return parts[0].register_forward_pre_hook(entering, with_kwargs=True)
    return parts[layer - 1].register_forward_hook(leaving)
