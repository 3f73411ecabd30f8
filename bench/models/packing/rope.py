"""Rotary positions whose frequencies transformers chooses anew in every pass, by the longest row in it.

Two kinds do: longrope has one set of factors for texts up to the length of pretraining and another beyond it (Ding et
al. 2024, arXiv:2402.13753), and dynamic NTK scaling computes its base from the length of a text beyond it. A batch has
one set, so a row would be read by its neighbours' lengths, and a cached key stays turned as it was when it was read.
Here a row's own length decides: rows share a pass only where they ask for the same set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Rope:
    """``boundary``: the longest text in tokens that is read as in pretraining. ``remembers``: dynamic scaling.

    Beyond the boundary longrope has one set of frequencies, dynamic scaling one for each length; and its module keeps
    those of the longest text that it has ever read, until a short one comes.
    """

    boundary: int
    remembers: bool

    def kind(self, length: int) -> int:
        """Return a number that is equal for two lengths exactly when they are read with the same frequencies."""
        if length <= self.boundary:
            return 0
        return length if self.remembers else 1


def rope_of(settings: Mapping[str, Any]) -> Rope | None:
    """Return how rotary positions depend on the longest row of a pass, by a configuration; None where they do not."""
    given = settings.get("rope_parameters")
    if not isinstance(given, Mapping):
        return None
    parts = [given, *(part for part in given.values() if isinstance(part, Mapping))]  # one for each kind of layer
    found = [_one(part, settings) for part in parts if str(part.get("rope_type")) in ("longrope", "dynamic")]
    return min(found, key=lambda rope: rope.boundary, default=None)


def _one(part: Mapping[str, Any], settings: Mapping[str, Any]) -> Rope:
    if part["rope_type"] == "longrope":
        return Rope(int(part.get("original_max_position_embeddings", settings["max_position_embeddings"])), False)
    return Rope(int(settings["max_position_embeddings"]), True)


def forget(backbone: nn.Module) -> None:
    """Make a model with dynamic scaling compute the frequencies of its next pass from that pass alone."""
    for module in backbone.modules():
        for name in [name for name in vars(module) if name.endswith("max_seq_len_cached")]:
            setattr(module, name, 0)
