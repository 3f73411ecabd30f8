"""Answers in free text against reference answers: normalised, compared, and distinguished from an abstention."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

from bench.core.task import Claim
from bench.evaluation.checkers.scripts import joined, parts_words, words_of
from bench.evaluation.checkers.sentence_split import abstains, sentence_spans

# A capital A that does not begin a sentence is a name: vitamin A, plan A.
_ARTICLES = re.compile(r"\b(?:a|an|the|An|The|AN|THE)\b|(?:(?<=^)|(?<=[.!?]\s))A(?=\s+\w)")
_ONLY_ARTICLES = frozenset({"an", "the"})
_DASHES = str.maketrans("\u2010\u2011\u2012\u2013\u2212\ufe63", "------")
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
# In threes, parted by a comma, an apostrophe (Swiss) or a space that holds them together; or as in India (12,34,567).
_THOUSANDS = re.compile(
    r"(?<![\d.,])\d{1,3}(?:(?P<mark>[,'\u2019\u00a0\u2009\u202f])\d{3})(?:(?P=mark)\d{3})*(?![\d,])"
    r"|(?<![\d.,])\d{1,2}(?:,\d{2})+,\d{3}(?![\d,])"
)
# Arabic's per cent sign, and its marks within numbers.
_ARABIC = str.maketrans("\u066a\u066b\u066c", "%.,")
# Thai and Lao write "am" as one letter or as two, with a tone mark between them.
_AM = re.compile("([\u0e4d\u0ecd])([\u0e48-\u0e4b\u0ec8-\u0ecb]?)([\u0e32\u0eb2])")
# Marks that are part of what is said, and are kept: within a number (3.5, 1/2, 10:30, 1990-1995, 10^6, 5'10), its
# sign, its comparison, currency and per cent (-5, <5, $5, 5%), behind a letter (C++, C#, A+, O-, Cl-) and before a
# name (.NET).
_KEPT = re.compile(
    r"(?<=\d)[./:^+*='\u2019\u00b7-](?=\d)|(?<![\w.])\.(?=\d)|(?<!\w)[-+](?=[$\u20ac\u00a3\u00a5\u20b9.]?\d|\u221e)"
    r"|[<>$](?=[-.]?\d)|(?<=\d)[%\u2030]|(?<=\^\d)[-+]"
    r"|(?<=\w)(?:\+{1,2}|#)(?!\w)|(?<![\w.])\.(?=[^\W\d_])"
    r"|(?:(?<=^[A-Za-z])|(?<=\s[A-Za-z])|(?<=^[A-Z][A-Za-z])|(?<=\s[A-Z][A-Za-z]))-(?=$|[\s.,;!?)])"
)
_APART = re.compile(r"(?<=\d)\s+(?=[%\u2030])|(?<=[$\u20ac\u00a3\u00a5\u20b9])\s+(?=\d)")


def normalised(text: str) -> str:
    """Return a text in lower case without punctuation, articles and surplus space.

    The normalisation of SQuAD (Rajpurkar et al. 2016, arXiv 1606.05250), except where it deletes meaning: marks within
    numbers, signs and marks that are part of a name stay (3.5 is not 35, -5 not 5, C++ not C), 1,000 is 1000, and an A
    that is a name is no article. Punctuation is that of every script; full-width forms are their plain ones, and digits
    of every script are the same ten.
    """
    text = unicodedata.normalize("NFC", text).translate(_WIDE).translate(_DASHES).translate(_ARABIC)
    text = "".join(str(unicodedata.decimal(letter, letter)) for letter in text)
    text = _AM.sub(lambda am: am[2] + chr(ord(am[3]) + 1), text)
    text = _THOUSANDS.sub(lambda number: "".join(filter(str.isdecimal, number.group())), text)
    text = _APART.sub("", text)
    without = _ARTICLES.sub(" ", text)
    text = without if any(letter.isalnum() for letter in without) else text
    kept = {place for mark in _KEPT.finditer(text) for place in range(*mark.span())}
    letters = [
        (letter if place in kept or not _is_punctuation(letter) else " " if letter == "," else "")
        for place, letter in enumerate(text)
    ]
    return " ".join("".join(letters).lower().split())


def _is_punctuation(letter: str) -> bool:
    return letter in string.punctuation or unicodedata.category(letter).startswith("P")


def equals_any(response: str, answers: Sequence[str]) -> bool:
    """Tell whether a response is one of the answers, both normalised."""
    return normalised(response) in {normalised(answer) for answer in answers}


def contains_any(response: str, answers: Sequence[str]) -> bool:
    """Tell whether the words of some answer stand in a response side by side, both normalised.

    In a script without spaces between words an answer may stand anywhere, but not within a longer number or a longer
    word in Katakana.
    """
    found = normalised(response)
    return any(_stands_in(normalised(answer), found) for answer in answers)


def overlap(response: str, answers: Sequence[str]) -> float:
    """Return the largest F1 of shared words between a response and an answer, both normalised; 0 without answers.

    A word of a script without spaces is a character, as in MLQA's scores (Lewis et al. 2020, arXiv 1910.07475).
    """
    given = words_of(normalised(response))
    return max((_f1(given, words_of(normalised(answer))) for answer in answers), default=0.0)


def declines(response: str) -> bool:
    """Tell whether a response gives no answer: it is empty, or every sentence of it declines to say something."""
    spans = sentence_spans(response)
    return all(abstains(response[start:end]) for start, end in spans)


def whole_answer(response: str) -> list[Claim]:
    """Return the response as one claim, none when it declines to answer."""
    text = response.strip()
    start = response.find(text)
    return [] if declines(response) else [Claim(text=text, start=start, end=start + len(text))]


def _stands_in(answer: str, text: str) -> bool:
    if not any(letter.isalnum() for letter in answer) or answer in _ONLY_ARTICLES:
        return False
    start = text.find(answer)
    while start >= 0:
        end = start + len(answer)
        if _parted(text, start) and _parted(text, end):
            return True
        start = text.find(answer, start + 1)
    return False


def _parted(text: str, place: int) -> bool:
    """Tell whether a word may begin or end at a place of a text."""
    if place in (0, len(text)) or text[place - 1] == " " or text[place] == " ":
        return True
    return not joined(text[place - 1], text[place]) and parts_words(text[place - 1], text[place])


def _f1(given: Sequence[str], wanted: Sequence[str]) -> float:
    shared = sum((Counter(given) & Counter(wanted)).values())
    return 2 * shared / (len(given) + len(wanted)) if shared else 0.0
