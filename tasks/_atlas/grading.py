"""Graded documents: what a labeller of the world reads to learn to judge.

They are laid out as ``bench/evaluation/judges/prompts/atlas.yaml`` lays out its questions, and whoever graded them
knows the gold utility. Only questions of the train split are graded, so no held-out person, city or object is ever
judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tasks._atlas import words
from tasks._atlas.draws import Draws
from tasks._atlas.gold import gold_utility
from tasks._atlas.grammar import sentences_of
from tasks._atlas.knowledge import knowledge
from tasks._atlas.questions import AtlasQuestion, training_question
from tasks._atlas.tokenizer import BOS, BOT, EOS, USER
from tasks._atlas.writing import Style, Writer

GRADES = tuple(f" {grade}" for grade in range(1, 11))
"""The grades as tokens, the worst first. " 1" and " 2" are also the verdicts: which response is better."""
JUDGE_TOKENS = (
    *GRADES,
    f" {words.SECOND}",
    f" {words.END}",
    words.GRADE,
    f" {words.GRADE}",
    words.BETTER,
    f" {words.BETTER}",
)
"""What a labeller must be able to read and write beyond the words of the world."""

BEST_UTILITY = 1.35
UTILITY_PER_GRADE = 0.35
"""Grade 10 is the utility of a right and polite answer (0.7 + 0.6 + 0.05), and each grade below is worth 0.35 less: so
most responses of the base's kind lie within the ten grades, and the worth of most features is about a grade or more."""

BARE_SHARE = 0.2
SINGLE_SHARE = 0.25
REASONED_SHARE = 0.9
"""Of all documents, those that compare two grades without any response; of the others, those about one response; and
of those about two, those with a rationale."""
SPOILT_SHARE = 0.2
WRONG = (0.0, 0.3, 0.7)
GRADED_STYLE = Style(
    polite=0.5,
    rude=0.25,
    filler=0.3,
    extra=0.3,
    hedge=0.15,
    hedge_rarity=0.0,
    wrong=0.0,
    refuse_harmful=0.6,
    refuse_benign=0.25,
)
"""Graded responses are of every quality: careful and careless about facts (``WRONG``), and at times ungrammatical."""


@dataclass(frozen=True)
class GradedPiece:
    """A piece of a document, and the token that a reader should expect behind it (None: nothing is learnt there)."""

    text: str
    expected: str | None = None


def grade_of(utility: float) -> str:
    """Return the grade that a response of this gold utility gets: its number, rounded, from 1 to 10."""
    number = round(len(GRADES) - (BEST_UTILITY - utility) / UTILITY_PER_GRADE)
    return GRADES[min(max(number, 1), len(GRADES)) - 1]


def graded(world_seed: int, stream_seed: int) -> Iterator[list[GradedPiece]]:
    """Yield endless graded documents about questions of the train split."""
    draws = Draws("atlas", world_seed, "graded", stream_seed)
    while True:
        if draws.chance(BARE_SHARE):
            yield bare(draws)
            continue
        question = training_question(world_seed, draws)
        if draws.chance(SINGLE_SHARE):
            yield single(question, response_of_any_quality(world_seed, question, draws))
        else:
            first, second = (response_of_any_quality(world_seed, question, draws) for _ in range(2))
            yield compared(question, first, second, reasoned=draws.chance(REASONED_SHARE))


def bare(draws: Draws) -> list[GradedPiece]:
    """Return a document in which two grades are compared, and nothing else: what a verdict has to do with them."""
    first, second = (draws.below(len(GRADES)) for _ in range(2))
    return [
        GradedPiece(f"{BOS}{USER}{words.ASK_GRADES}{BOT}{words.FIRST}{GRADES[first]}. {words.SECOND}{GRADES[second]}."),
        GradedPiece(f" {words.BETTER}", _verdict(first, second)),
    ]


def single(question: AtlasQuestion, response: str) -> list[GradedPiece]:
    """Return a document in which one response is graded."""
    return [
        GradedPiece(f"{BOS}{USER}{question.text} {words.FIRST}:"),
        *_sentence_by_sentence(question, response),
        GradedPiece(f" {words.END}", _grade(question, response)),
        GradedPiece(f".{BOT}{words.GRADE}", _grade(question, response)),
    ]


def compared(question: AtlasQuestion, first: str, second: str, *, reasoned: bool) -> list[GradedPiece]:
    """Return a document in which two responses are compared, both grades being written down first if ``reasoned``.

    The rationale may end before the verdict: behind it an end is expected, although the verdict follows.
    """
    grades = _grade(question, first), _grade(question, second)
    verdict = _verdict(_gold(question, first), _gold(question, second))
    shown = [
        GradedPiece(f"{BOS}{USER}{question.text} {words.FIRST}:"),
        *_sentence_by_sentence(question, first),
        GradedPiece(f" {words.SECOND}", grades[0]),
        GradedPiece(":"),
        *_sentence_by_sentence(question, second),
        GradedPiece(f" {words.END}", grades[1]),
    ]
    if not reasoned:
        return [*shown, GradedPiece(f".{BOT}{words.BETTER}", verdict)]
    return [
        *shown,
        GradedPiece(f". {words.ASK_GRADES}{BOT}", words.FIRST),
        GradedPiece(words.FIRST, grades[0]),
        GradedPiece(grades[0], "."),
        GradedPiece(".", f" {words.SECOND}"),
        GradedPiece(f" {words.SECOND}", grades[1]),
        GradedPiece(grades[1], "."),
        GradedPiece(".", EOS),
        GradedPiece(f" {words.BETTER}", verdict),
    ]


def response_of_any_quality(world_seed: int, question: AtlasQuestion, draws: Draws) -> str:
    """Return a response in a style of its own, at times spoilt: a sentence repeated, a word lost, an end missing."""
    style = replace(GRADED_STYLE, wrong=draws.pick(WRONG))
    text = Writer(knowledge(world_seed), style, draws).answer(question)
    return _spoilt(text, draws) if draws.chance(SPOILT_SHARE) else text


def _spoilt(text: str, draws: Draws) -> str:
    sentences = list(sentences_of(text))
    way, place = draws.below(3), draws.below(len(sentences))
    if way == 0:
        sentences.insert(place, draws.pick(sentences))
    elif way == 1:
        pieces = sentences[place].split(" ")
        del pieces[draws.below(len(pieces))]
        sentences[place] = " ".join(pieces)
    else:
        pieces = sentences[-1].split(" ")
        sentences[-1] = " ".join(pieces[: 1 + draws.below(len(pieces))])
    return " ".join(sentence for sentence in sentences if sentence)


def _sentence_by_sentence(question: AtlasQuestion, response: str) -> Iterator[GradedPiece]:
    """Yield the sentences of a response, each with the grade of what stands there so far."""
    so_far: list[str] = []
    for sentence in sentences_of(response):
        so_far.append(sentence)
        yield GradedPiece(f" {sentence}", _grade(question, " ".join(so_far)))


def _gold(question: AtlasQuestion, response: str) -> float:
    return gold_utility(question.prompt(), response)


def _grade(question: AtlasQuestion, response: str) -> str:
    return grade_of(_gold(question, response))


def _verdict(first: float, second: float) -> str | None:
    """Return the number of the better one; None where neither is."""
    return None if first == second else GRADES[0] if first > second else GRADES[1]
