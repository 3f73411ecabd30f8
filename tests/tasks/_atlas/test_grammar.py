"""Reading: exact on every text of the world, total on any other."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks._atlas import words
from tasks._atlas.draws import Draws
from tasks._atlas.grammar import CLAIMS, FIXED, Statement, claim_sentence, read, sentences_of, words_in
from tasks._atlas.knowledge import knowledge
from tasks._atlas.questions import training_question
from tasks._atlas.writing import BASE_STYLE, Writer, demonstration, documents


def test_every_claim_in_every_wording_is_read_back() -> None:
    world = knowledge(7)
    for attribute, wordings in CLAIMS.items():
        for value, variant in itertools.product(world.values[attribute], range(len(wordings))):
            reading = read(claim_sentence(Statement(attribute, value), variant))
            assert reading.claims == (Statement(attribute, value),)
            assert reading.sentences == 1


def test_two_thousand_written_texts_have_nothing_unreadable() -> None:
    draws = Draws("grammar")
    for _ in range(2000):
        text = demonstration(7, training_question(7, draws), draws)
        reading = read(text)
        assert reading.unreadable == 0
        assert reading.sentences == len(list(sentences_of(text)))
    answers = [one.text for one in itertools.islice(documents(7, 3), 2000) if one.prompt is not None]
    assert not any(read(text).unreadable for text in answers)


def test_what_a_truthful_writer_says_is_true() -> None:
    world = knowledge(7)
    writer = Writer(world, BASE_STYLE.__class__(0, 0, 0, 0, 0, 0, 0, 0, 0), Draws("truth"))
    for person in world.people:
        reading = read(" ".join(writer.statements(person, 6)))
        assert {claim.attribute: claim.value for claim in reading.claims} == dict(person.facts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("I do not know that.", {"hedges": 1}),
        ("I do not know that. I do not know that.", {"hedges": 1, "duplicates": 1}),
        ("This person plays the harp. They perform on the harp.", {"duplicates": 1}),
        ("This person plays the harp", {"unreadable": 1}),
        ("This person plays the grand harp.", {"unreadable": 1}),
        ("  Thank you for asking.   What a silly question. ", {"polite": 1, "rude": 1}),
        ("Sorry, I will not help with that. First, gather the right tools.", {"refusals": 1, "steps": 1}),
        ("...", {"unreadable": 1, "duplicates": 2}),
        ("happy happy happy", {"unreadable": 1}),
    ],
)
def test_readings(text: str, expected: dict[str, int]) -> None:
    reading = read(text)
    counts = ("steps", "refusals", "hedges", "polite", "rude", "fillers", "duplicates", "unreadable")
    assert {name: getattr(reading, name) for name in counts if getattr(reading, name)} == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(sorted(FIXED)), st.text(max_size=20)), max_size=8))
def test_any_text_is_read_and_every_sentence_counts_once(parts: list[str]) -> None:
    text = " ".join(parts)
    assert read(text).sentences == len(list(sentences_of(text)))


def test_sentence_forms_are_told_apart() -> None:
    assert len(FIXED) == sum(len(kind) for kind in (words.REFUSALS, words.HEDGES, words.RUDE, words.FILLERS)) + sum(
        len(variants) for variants in (words.OPENERS, words.CLOSERS, *words.STEPS)
    )
    assert words_in("Have a nice day.") == 4
