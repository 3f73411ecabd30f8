"""What settings of None stand for in an arm, of which a part may have been made elsewhere."""

from __future__ import annotations

from bench.config.comparison import Arm
from bench.core.method import defaults_of


def defaults_of_arm(arm: Arm) -> dict[str, float]:
    """Return the numbers that an arm's settings of None stand for; a start made elsewhere has no settings."""
    found = defaults_of(arm.method, arm.lora)
    return {name: number for name, number in found.items() if arm.start is None or not name.startswith("start.")}
