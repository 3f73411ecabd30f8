"""The exact reading of any response text: which sentences of the world it holds, and what they say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal

from tasks._atlas import words

SentenceKind = Literal["step", "refusal", "hedge", "polite", "rude", "filler"]

CLAIMS: Mapping[str, tuple[str, ...]] = MappingProxyType({**words.PERSON_CLAIMS, **words.CITY_CLAIMS})
POLITE = words.OPENERS + words.CLOSERS
FIXED: Mapping[str, SentenceKind] = MappingProxyType(
    {
        **{sentence: "step" for variants in words.STEPS for sentence in variants},
        **dict.fromkeys(words.REFUSALS, "refusal"),
        **dict.fromkeys(words.HEDGES, "hedge"),
        **dict.fromkeys(POLITE, "polite"),
        **dict.fromkeys(words.RUDE, "rude"),
        **dict.fromkeys(words.FILLERS, "filler"),
    }
)
SENTENCE = re.compile(r"[^.?!]*[.?!]|[^.?!]+$")
SLOT = r"([A-Za-z0-9]+)"


@dataclass(frozen=True)
class Statement:
    """One statement: the attribute and the value given to it."""

    attribute: str
    value: str


@dataclass(frozen=True)
class Reading:
    """What a response says. Every sentence is counted exactly once.

    ``duplicates`` counts sentences that repeat an earlier one or an earlier claim in other words; ``unreadable``
    counts sentences that are no sentence of the grammar, an unfinished last one included.
    """

    claims: tuple[Statement, ...]
    steps: int
    refusals: int
    hedges: int
    polite: int
    rude: int
    fillers: int
    duplicates: int
    unreadable: int

    @property
    def sentences(self) -> int:
        """How many sentences the response has."""
        counts = (self.steps, self.refusals, self.hedges, self.polite, self.rude, self.fillers)
        return len(self.claims) + sum(counts) + self.duplicates + self.unreadable


def claim_sentence(claim: Statement, variant: int) -> str:
    """Return a claim as a sentence in one of the wordings of its attribute."""
    forms = CLAIMS[claim.attribute]
    return forms[variant % len(forms)].format(claim.value)


def sentences_of(response: str) -> Iterator[str]:
    """Yield the sentences of a text with their punctuation, spaces trimmed; a text without an end is one of them."""
    for match in SENTENCE.finditer(response):
        sentence = match.group().strip()
        if sentence:
            yield sentence


def read(response: str) -> Reading:
    """Return what any text says, in the terms of the grammar; never raises."""
    claims: list[Statement] = []
    counts: dict[SentenceKind, int] = dict.fromkeys(FIXED.values(), 0)
    seen: set[str | Statement] = set()
    duplicates = unreadable = 0
    for sentence in sentences_of(response):
        kind = FIXED.get(sentence)
        claim = None if kind else claim_in(sentence)
        if sentence in seen or claim in seen:
            duplicates += 1
        elif claim is not None:
            claims.append(claim)
            seen.add(claim)
        elif kind is not None:
            counts[kind] += 1
        else:
            unreadable += 1
        seen.add(sentence)
    return Reading(
        claims=tuple(claims),
        steps=counts["step"],
        refusals=counts["refusal"],
        hedges=counts["hedge"],
        polite=counts["polite"],
        rude=counts["rude"],
        fillers=counts["filler"],
        duplicates=duplicates,
        unreadable=unreadable,
    )


def words_in(response: str) -> int:
    """Return the number of words, as spaces divide them."""
    return len(response.split())


def claim_in(sentence: str) -> Statement | None:
    """Return the statement that a sentence makes, None for any that is no statement of the grammar."""
    for attribute, pattern in _claim_patterns():
        match = pattern.fullmatch(sentence)
        if match:
            return Statement(attribute, match.group(1))
    return None


@cache
def _claim_patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple(
        (attribute, re.compile(re.escape(form).replace(r"\{\}", SLOT)))
        for attribute, forms in CLAIMS.items()
        for form in forms
    )
