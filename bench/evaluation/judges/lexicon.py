"""The lexicon judge: prefers the response whose words are more positive by a valence lexicon."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bench.core.errors import DataError
from bench.core.frozen import digest_of_file
from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.stage import StageIO
from bench.core.task import Task
from bench.evaluation.judges._ratings import rated_pairs, verdict_on_ratings

WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
LEXICON_WORD = re.compile(r"[a-z][a-z'-]*")
NEGATIONS = frozenset({"not", "no", "never", "none", "nobody", "nothing", "neither", "nor", "cannot", "without"})
NEGATION_REACH = 3
# The factor of the VADER reference implementation for a negated word (Hutto & Gilbert 2014).
NEGATION_FACTOR = -0.74
# VADER's constant for mapping a sum of valences to (-1, 1).
NORMALISATION = 15.0
_FORMAT = "A line is a word in small letters, a tab and its valence, as in VADER's lexicon."


class Lexicon(Judge):
    """Rates a text by s / sqrt(s^2 + 15), s the sum of its words' valences, negated words times -0.74.

    ``path`` is a tab-separated lexicon in VADER's format (word, mean valence, ...). A rating gap of at most
    ``tie_below`` is a tie.
    """

    NAME: ClassVar[str] = "lexicon"
    VERSION: ClassVar[int] = 1
    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})

    path: str
    digest: str
    tie_below: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    def check(self, kind: Literal["compare", "rate"]) -> None:
        """Raise DataError for a lexicon that cannot be used, with its line."""
        lexicon(self.path, self.digest)

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Return 1 where the first response is more positive, 0 where less, 0.5 within ``tie_below``."""
        verdicts = []
        for first, second in rated_pairs(self, task, pairs, io):
            close = first.value is not None and second.value is not None
            if close and abs((first.value or 0.0) - (second.value or 0.0)) <= self.tie_below:
                verdicts.append(Verdict(value=0.5, text=f"first {first.value:.6g}, second {second.value:.6g}"))
            else:
                verdicts.append(verdict_on_ratings(first, second))
        return verdicts

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        """Return the normalised valence of each response, in (-1, 1)."""
        words = lexicon(self.path, self.digest)
        return [Verdict(value=valence(one.text, words)) for one in responses]


def valence(text: str, words: Mapping[str, float]) -> float:
    """Return s / sqrt(s^2 + 15), where s sums the valences of the words of a text; 0 for a text without any."""
    found = WORD.findall(text.lower())
    total = 0.0
    for position, word in enumerate(found):
        value = words.get(word)
        if value is None:
            continue
        before = found[max(0, position - NEGATION_REACH) : position]
        total += value * (NEGATION_FACTOR if any(is_negation(other) for other in before) else 1.0)
    return total / math.sqrt(total * total + NORMALISATION)


def is_negation(word: str) -> bool:
    """Tell whether a word turns the sense of what follows: not, never, ..., and the n't forms."""
    return word in NEGATIONS or word.endswith("n't")


@cache
def lexicon(path: str, digest: str) -> dict[str, float]:
    """Return the valence of each plain word of a lexicon file; lines that begin with anything else are passed over.

    Raises DataError when its bytes have changed, for a line whose number is none or not finite, and for a file in which
    no line begins with a plain word, or none of these is worth anything.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{path}: no lexicon there")
    if digest_of_file(file) != digest:
        raise DataError(f"{path}: the lexicon has changed since the comparison was planned. Plan it again.")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: {error}. Save the lexicon as UTF-8.") from error
    words: dict[str, float] = {}
    for number, line in enumerate(text.split("\n"), 1):
        word, _, rest = line.partition("\t")
        if not LEXICON_WORD.fullmatch(word):
            continue
        given = rest.partition("\t")[0]
        try:
            words[word] = float(given)
        except ValueError as error:
            raise DataError(f"{path}:{number}: no number after the word {word!r}. {_FORMAT}") from error
        if not math.isfinite(words[word]):
            raise DataError(f"{path}:{number}: the valence of {word!r} is {given}, which is no number. {_FORMAT}")
    if not any(words.values()):
        first = next((line for line in text.split("\n") if line.strip()), "")
        what = "no word has a valence other than 0" if words else "no line begins with a word in small letters"
        raise DataError(
            f"{path}:1: {what}, so that every response would be a tie (it begins {first[:40]!r}). {_FORMAT}"
        )
    return words
