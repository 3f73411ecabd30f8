"""A key-value cache that grows in large steps, so that a new token costs a small write and not a copy of everything."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer

# A buffer grows by this many positions or by half its size, whichever is more. Chosen for speed, changes no result.
GROWTH = 64


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

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep these rows of the batch only, in this order; a row may be asked for more than once."""
        self._key_buffer = self._key_buffer.index_select(0, beam_idx)
        self._value_buffer = self._value_buffer.index_select(0, beam_idx)
        self._show()

    def _show(self) -> None:
        self.keys = self._key_buffer[..., : self._length, :]
        self.values = self._value_buffer[..., : self._length, :]


def growing_cache() -> Cache:
    """Return an empty cache of growing layers, for models whose layers all are attention."""
    return Cache(layer_class_to_replicate=GrowingLayer)


def _larger(buffer: Tensor, length: int, capacity: int) -> Tensor:
    found = torch.zeros((*buffer.shape[:-2], capacity, buffer.shape[-1]), dtype=buffer.dtype, device=buffer.device)
    found[..., :length, :] = buffer[..., :length, :]
    return found
