"""The claims of the world: where they stand, that they are counted as the scores count them, and what is true."""

from __future__ import annotations

import pytest

from bench.core.task import IRRELEVANT, NOT_SUPPORTED, SUPPORTED
from tasks._atlas import words
from tasks._atlas.grammar import Statement, claim_sentence, read
from tasks._atlas.questions import pool
from tasks.atlas import Atlas
from tasks.atlas_biographies import AtlasBiographies
from tasks.atlas_requests import AtlasRequests


def test_claims_are_those_of_the_scores() -> None:
    task = AtlasBiographies(limit=40)
    for number, prompt in enumerate(task.prompts()):
        facts = {name: value for name, value in prompt.facts.items() if name in words.PERSON_CLAIMS}
        said = [claim_sentence(Statement(name, value), number) for name, value in list(facts.items())[: 1 + number % 4]]
        said += [claim_sentence(Statement("year", "1903"), number), words.FILLERS[0], said[0]]
        response = f" {words.OPENERS[0]} {' '.join(said)} broken end"
        claims = task.claims(prompt, response)
        assert [claim.text for claim in claims] == [response[claim.start : claim.end] for claim in claims]
        assert len(claims) == len(read(response).claims)
        labels = [task.support(prompt, claim.text).label for claim in claims]
        scores = task.score(prompt, response)
        assert labels.count(SUPPORTED) == scores["true_claims"]
        wrong = scores["wrong_claims"]
        assert wrong is not None
        assert labels.count(NOT_SUPPORTED) / len(labels) == pytest.approx(wrong)


def test_what_states_no_fact_is_irrelevant() -> None:
    task = AtlasBiographies(limit=1)
    (prompt,) = task.prompts()
    assert task.support(prompt, words.FILLERS[0]).label == IRRELEVANT
    assert task.support(prompt, "").label == IRRELEVANT
    river = claim_sentence(Statement("river", "Ara"), 0)
    assert task.support(prompt, river).evidence == "it has no river"
    assert task.support(prompt, river).label == NOT_SUPPORTED
    (request,) = AtlasRequests(limit=1).prompts()
    assert AtlasRequests().support(request, river).label == IRRELEVANT


def test_pages_say_what_is_true() -> None:
    pages = dict(Atlas().pages())
    question = pool(Atlas().world_seed, "evaluation")["biography"][0]
    page = next(text for text in pages.values() if set(question.truth.items()) == _said(text))
    assert len(read(page).claims) == len(words.PERSON_CLAIMS)
    assert read(page).unreadable == 0
    assert len(pages) == 248


def _said(page: str) -> set[tuple[str, str]]:
    return {(claim.attribute, claim.value) for claim in read(page).claims}
