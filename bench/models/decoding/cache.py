"""A key-value cache that grows in large steps, so that a new token costs a small write and not a copy of everything."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer

# A buffer grows by this many positions or by half its size, whichever is more. Chosen for speed, changes no result.
GROWTH = 64
_ATTENTION = {"full_attention", "sliding_attention"}


class GrowingLayer(DynamicLayer):
    """The keys and values of one layer, as views of buffers with room to spare.

    transformers' own layer concatenates at every token; that copy was more than half of the time of a small model.
    """

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Take device and type from the first states and start with empty buffers."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self._length = 0
        self._key_buffer = key_states[..., :0, :]
        self._value_buffer = value_states[..., :0, :]
        self._show()
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Return all keys and values, the new ones appended. Shapes: (batch, heads, length, head width)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self._length + key_states.shape[-2]
        if end > self._key_buffer.shape[-2]:
            capacity = end + max(GROWTH, end // 2)
            self._key_buffer = _larger(self._key_buffer, self._length, capacity)
            self._value_buffer = _larger(self._value_buffer, self._length, capacity)
        self._key_buffer[..., self._length : end, :] = key_states
        self._value_buffer[..., self._length : end, :] = value_states
        self._length = end
        self._show()
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows of the batch only."""
        self._key_buffer = self._key_buffer.index_select(0, indices)
        self._value_buffer = self._value_buffer.index_select(0, indices)
        self._show()

    def _show(self) -> None:
        self.keys = self._key_buffer[..., : self._length, :]
        self.values = self._value_buffer[..., : self._length, :]


def new_cache(config: PreTrainedConfig) -> Cache:
    """Return an empty cache: growing layers where every layer is an attention layer, else what transformers offers."""
    if set(config.to_dict().get("layer_types") or _ATTENTION) <= _ATTENTION:
        return Cache(layer_class_to_replicate=GrowingLayer)
    return DynamicCache(config=config)


def _larger(buffer: Tensor, length: int, capacity: int) -> Tensor:
    found = torch.zeros((*buffer.shape[:-2], capacity, buffer.shape[-1]), dtype=buffer.dtype, device=buffer.device)
    found[..., :length, :] = buffer[..., :length, :]
    return found
