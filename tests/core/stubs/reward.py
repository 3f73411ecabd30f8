"""A reward: longer is better."""

from collections.abc import Sequence


def reward(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
    return [float(len(response)) for response in responses]
