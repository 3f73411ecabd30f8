"""Answers in free text against reference answers: normalised, compared, and distinguished from an abstention."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from bench.core.task import Claim
from bench.evaluation.checkers.sentence_split import abstains, sentence_spans

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation + "\u2018\u2019\u201c\u201d\u2013\u2014\u2026")


def normalised(text: str) -> str:
    """Return a text in lower case without punctuation, articles and surplus space.

    The normalisation of SQuAD (Rajpurkar et al. 2016, arXiv 1606.05250), with typographic marks as punctuation too.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def equals_any(response: str, answers: Sequence[str]) -> bool:
    """Tell whether a response is one of the answers, both normalised."""
    return normalised(response) in {normalised(answer) for answer in answers}


def contains_any(response: str, answers: Sequence[str]) -> bool:
    """Tell whether the words of some answer stand in a response side by side, both normalised."""
    found = f" {normalised(response)} "
    return any(f" {normalised(answer)} " in found for answer in answers if normalised(answer))


def overlap(response: str, answers: Sequence[str]) -> float:
    """Return the largest F1 of shared words between a response and an answer, both normalised; 0 without answers."""
    return max((_f1(normalised(response).split(), normalised(answer).split()) for answer in answers), default=0.0)


def declines(response: str) -> bool:
    """Tell whether a response gives no answer: it is empty, or every sentence of it declines to say something."""
    spans = sentence_spans(response)
    return all(abstains(response[start:end]) for start, end in spans)


def whole_answer(response: str) -> list[Claim]:
    """Return the response as one claim, none when it declines to answer."""
    text = response.strip()
    start = response.find(text)
    return [] if declines(response) else [Claim(text=text, start=start, end=start + len(text))]


def _f1(given: Sequence[str], wanted: Sequence[str]) -> float:
    shared = sum((Counter(given) & Counter(wanted)).values())
    return 2 * shared / (len(given) + len(wanted)) if shared else 0.0
