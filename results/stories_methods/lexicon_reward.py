"""The reward of a story: how positive its words are by the VADER lexicon (Hutto & Gilbert 2014), in (-1, 1).

    score = s / sqrt(s^2 + 15),  s = sum over the words of their mean valence,

a word's valence times -0.74 where one of the three words before it is a negation. It is VADER's normalised valence
without its rules for emphasis, capitals, punctuation and "but". The lexicon is read from the folder that the comparison
reads its data from, and must be the file that the comparison was made with.
"""

import hashlib
import math
import os
import re
from functools import cache
from pathlib import Path

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
SHA256 = "ec636f884f36b5de6a4d681b2f61c08c2ec90eeb440472033f3307d0d6fa8bc9"
WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
NEGATIONS = frozenset("not no never none nobody nothing neither nor cannot without".split())
REACH, NEGATED, NORMALISATION = 3, -0.74, 15.0


def reward(prompts: list[str], responses: list[str]) -> list[float]:
    """Return the valence of each response, in order; the prompts are not looked at."""
    return [valence(text, lexicon()) for text in responses]


def valence(text: str, lexicon: dict[str, float]) -> float:
    """Return the normalised sum of the valences of a text's words; 0 for a text without any that the lexicon knows."""
    words = WORD.findall(text.lower())
    total = 0.0
    for position, word in enumerate(words):
        before = words[max(0, position - REACH) : position]
        negated = any(other in NEGATIONS or other.endswith("n't") for other in before)
        total += lexicon.get(word, 0.0) * (NEGATED if negated else 1.0)
    return total / math.sqrt(total * total + NORMALISATION)


@cache
def lexicon() -> dict[str, float]:
    """Return the mean valence of each plain word; raises ValueError where the file is another one."""
    content = (Path(os.environ.get("ALIGNMENT_BENCH_DATA", SHARED)) / "vader" / "vader_lexicon.txt").read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError("vader_lexicon.txt is not the file that this reward was written for")
    columns = [line.split("\t") for line in content.decode("utf-8").splitlines() if line.strip()]
    return {word: float(mean) for word, mean, *_ in columns if re.fullmatch(r"[a-z][a-z'-]*", word)}
