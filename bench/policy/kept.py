"""Policies that a stage asks again and again, loaded once."""

from __future__ import annotations

import weakref

from bench.core.frozen import digest
from bench.core.policy import PolicySpec
from bench.core.stage import StageIO
from bench.policy.hf import HFPolicy
from bench.policy.load import load_policy

# The policies of each running stage, by its io; an entry goes with its io.
_KEPT: dict[int, dict[str, HFPolicy]] = {}


def kept_policy(spec: PolicySpec, io: StageIO) -> HFPolicy:
    """Return the policy for inference, loaded at the first call of a stage and kept while the stage runs.

    See ``bench.policy.load.load_policy``.
    """
    if id(io) not in _KEPT:
        _KEPT[id(io)] = {}
        weakref.finalize(io, _KEPT.pop, id(io), None)
    policies, name = _KEPT[id(io)], digest(spec)
    if name not in policies:
        policies[name] = load_policy(spec, io)
    return policies[name]
