"""What responses claim about people and cities, where they do so, and what the world says to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.core import task as core
from tasks._atlas.grammar import SENTENCE, Statement, claim_in, claim_sentence
from tasks._atlas.knowledge import knowledge


def claims_in(response: str) -> list[core.Claim]:
    """Return the sentences of a response that state a fact, each fact once, as ``grammar.read`` counts them."""
    found: list[core.Claim] = []
    seen: set[Statement] = set()
    for match in SENTENCE.finditer(response):
        sentence = match.group().strip()
        claim = claim_in(sentence) if sentence else None
        if claim is not None and claim not in seen:
            seen.add(claim)
            start = match.start() + match.group().index(sentence)
            found.append(core.Claim(text=sentence, start=start, end=start + len(sentence)))
    return found


def support_of(facts: Mapping[str, str], sentence: str) -> core.Finding:
    """Return whether a sentence is true of an entity with these facts; irrelevant when it states no fact.

    What is said to a question about no entity is irrelevant too. A claim about another kind of entity is not supported,
    as in the gold utility.
    """
    claim = claim_in(sentence.strip())
    if claim is None:
        return core.Finding(label=core.IRRELEVANT, evidence="states no fact of the world")
    if not facts:
        return core.Finding(label=core.IRRELEVANT, evidence="the question is about no person or city")
    truth = facts.get(claim.attribute)
    evidence = f"{claim.attribute}: {truth}" if truth is not None else f"it has no {claim.attribute}"
    return core.Finding(label=core.SUPPORTED if truth == claim.value else core.NOT_SUPPORTED, evidence=evidence)


def pages_of(world_seed: int) -> Sequence[tuple[str, str]]:
    """Return a page (name, text) for every person and city of a world, the most exposed first."""
    world = knowledge(world_seed)
    return [
        (entity.name, " ".join(claim_sentence(Statement(*fact), 0) for fact in entity.facts.items()))
        for entity in (*world.people, *world.cities)
    ]
