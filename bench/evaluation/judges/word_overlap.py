"""A control judge: the response that shares more of its words with the prompt wins."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.stage import StageIO
from bench.core.task import Task
from bench.evaluation.judges._ratings import rated_pairs, verdict_on_ratings

WORD = re.compile(r"\w+")


class WordOverlap(Judge):
    """Rates a response by |R & P| / |R | P|, R and P the sets of words of the response and of the prompt.

    A control: what it explains of another judge's verdicts may be echoing the question and nothing else. This is
    Jaccard's index (1912, New Phytologist 11:37) of the two sets. Words are runs of letters, digits and underscores,
    lower case; the prompt is all of its turns. Repeating a word changes nothing, and neither a very short nor a very
    long response is favoured for its length alone. Without any word on either side it is 0.
    """

    NAME: ClassVar[str] = "word_overlap"
    VERSION: ClassVar[int] = 1

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Return 1 where the first response overlaps more, 0 where less, 0.5 where as much."""
        return [verdict_on_ratings(first, second) for first, second in rated_pairs(self, task, pairs, io)]

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        """Return the overlap of each response with its prompt, in [0, 1]."""
        return [
            Verdict(value=overlap(words(one.text), words(" ".join(turn.content for turn in one.prompt.chat))))
            for one in responses
        ]


def words(text: str) -> frozenset[str]:
    """Return the different words of a text, in lower case."""
    return frozenset(WORD.findall(text.lower()))


def overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Return Jaccard's index of two sets: what they share over what is in either; 0 for two empty ones."""
    either = one | other
    return len(one & other) / len(either) if either else 0.0
