"""Every arm's policy at every run, as a value."""

from __future__ import annotations

import hashlib

from bench.config.comparison import Arm, Comparison
from bench.core.errors import BenchError
from bench.core.method import Given, Shared
from bench.core.policy import PolicySpec


def policy_of(comparison: Comparison, arm: Arm, run: int) -> PolicySpec:
    """Return the policy of one arm at one run; raises BenchError naming the arm where its method cannot make one."""
    try:
        return arm.method.policy(given_for(comparison, arm, run))
    except BenchError as error:
        raise BenchError(f"method '{arm.name}': {error}") from error


def given_for(comparison: Comparison, arm: Arm, run: int) -> Given:
    """Return what one arm is given at one run."""
    shared = {name: getattr(comparison.given, name) for name in Shared.model_fields}
    return Given(**{**shared, "lora": arm.lora, "seed": training_seed(run, arm.replicate)})


def training_seed(run: int, replicate: str | None) -> int:
    """Return the seed of all training randomness of an arm: the run itself, or one of its own for a replicate.

    A replicate repeats the whole procedure (its SFT start too), so a contrast with the arm it repeats shows what the
    instrument calls a difference when there is none.
    """
    if replicate is None:
        return run
    return int.from_bytes(hashlib.sha256(f"{replicate}\x1f{run}".encode()).digest()[:4], "big")
