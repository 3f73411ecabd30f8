"""What labellers are called, and how each is asked."""

from __future__ import annotations

from collections.abc import Sequence

from bench.results.summary import LabellerFacts

# A judge's settings that say how it asks, in the order in which they are named.
ASKS = ("prompt", "path", "asks", "rationale", "samples")
# How long a rationale may become is no way of asking, and is not read where there is none.
NO_WAY_OF_ASKING = frozenset({"max_rationale_tokens"})


def labeller_name(judge: str, seed: int | None) -> str:
    """Return a labeller's name, with the training seed of its model where it takes one from an arm."""
    return judge if seed is None else f"{judge}, seed {seed}"


def variant(facts: LabellerFacts, all_facts: Sequence[LabellerFacts]) -> str:
    """Return how a labeller asks: those of its settings in which labellers that have them differ; else its name."""
    names = dict.fromkeys((*ASKS, *(name for each in all_facts for name in each.settings)))
    differing = [
        name
        for name in names
        if name in facts.settings
        and name not in NO_WAY_OF_ASKING
        and len({str(each.settings[name]) for each in all_facts if name in each.settings}) > 1
    ]
    return ", ".join(f"{name} {facts.settings[name]}" for name in differing) or facts.judge
