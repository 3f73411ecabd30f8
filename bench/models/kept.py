"""Policies that a stage uses repeatedly, loaded once."""

from __future__ import annotations

from bench.core.frozen import digest
from bench.core.policy import PolicySpec
from bench.core.stage import StageIO
from bench.models.load import load_policy
from bench.models.local import LocalPolicy


def kept_policy(spec: PolicySpec, io: StageIO) -> LocalPolicy:
    """Return the policy for inference, loaded at the first call of a stage and kept on its ``io`` until it ends.

    See ``bench.models.load.load_policy``.
    """
    name = f"policy {digest(spec)}"
    if name not in io.kept:
        io.kept[name] = load_policy(spec, io)
    found: LocalPolicy = io.kept[name]
    return found
