"""The lexicon judge: words, negation, ties, and the rewards recorded beside real completions."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import ValidationError

from bench.core.errors import DataError
from bench.core.frozen import digest_of_file
from bench.core.judge import Pair
from bench.core.policy import Decoding
from bench.core.stage import StageIO
from bench.core.task import Prompt, Task, user
from bench.evaluation.judges.lexicon import Lexicon, lexicon, valence

WORDS = {"good": 2.0, "bad": -2.0}


class NoTask(Task):
    NAME: ClassVar[str] = "none"

    def prompts(self) -> list[Prompt]:
        return []

    def decoding(self) -> Decoding:
        return Decoding()


@pytest.mark.parametrize(
    ("text", "total"),
    [
        ("good", 2.0),
        ("Good GOOD", 4.0),
        ("not good", -1.48),
        ("not a very good day", -1.48),
        ("not one two three good", 2.0),
        ("isn't bad", 1.48),
        ("nothing here", 0.0),
        ("", 0.0),
    ],
)
def test_valence(text: str, total: float) -> None:
    assert valence(text, WORDS) == pytest.approx(total / (total**2 + 15) ** 0.5)


def test_compare_prefers_the_more_positive_and_knows_ties(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("good\t2.0\t0.5\n:)\t2.0\t1\nbad\t-2.0\n")
    judge = Lexicon(path=str(file), digest=digest_of_file(file))
    prompt = Prompt(id="p", chat=user("x"), cluster="p")
    pairs = [
        Pair(prompt=prompt, first=first, second=second) for first, second in [("good", "bad"), ("bad", ""), ("a", "b")]
    ]
    io = StageIO(tmp_path, tmp_path, lambda stage: tmp_path)
    assert [verdict.value for verdict in judge.compare(NoTask(), pairs, io)] == [1.0, 0.0, 0.5]
    assert ":)" not in lexicon(judge.path, judge.digest)


def test_a_changed_or_broken_lexicon_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("good\tmuch\n")
    with pytest.raises(DataError, match="words.txt:1: no number"):
        lexicon(str(file), digest_of_file(file))
    with pytest.raises(DataError, match="has changed"):
        lexicon(str(file), "0" * 64)
    with pytest.raises(DataError, match="no lexicon there"):
        lexicon(str(tmp_path / "absent.txt"), "0" * 64)


@pytest.mark.data
def test_the_rewards_recorded_beside_real_completions(real_data: Path) -> None:
    words = lexicon(str(file := real_data / "vader" / "vader_lexicon.txt"), digest_of_file(file))
    text = gzip.decompress((real_data / "tinystories_sentiment" / "completions_test.jsonl.gz").read_bytes()).decode()
    rows = [json.loads(line) for line in text.split("\n") if line]
    assert len(rows) == 800
    for row in rows:
        assert valence(row["completion"], words) == pytest.approx(row["reward"], abs=6e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1: no line begins with a word"),
        ("word,valence\n:)\t2.0\n", ":1: no line begins with a word"),
        ("good 2.0\nbad -2.0\n", ":1: no line begins with a word"),
        ("good\t0\n", ":1: no word has a valence other than 0"),
        ("good\t2.0\nbad\tnan\n", ":2: the valence of 'bad' is nan"),
        ("good\tinf\n", ":1: the valence of 'good' is inf"),
        ("good\tvery\n", ":1: no number after the word 'good'"),
        ("good\n", ":1: no number after the word 'good'"),
    ],
)
def test_a_lexicon_that_cannot_be_used_is_refused_when_planning(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "words.txt"
    file.write_text(text)
    judge = Lexicon(path=str(file), digest=digest_of_file(file))
    with pytest.raises(DataError) as error:
        judge.check("compare")
    assert said in str(error.value)
    with pytest.raises(ValidationError):
        Lexicon(path=str(file), digest=judge.digest, tie_below=float("nan"))
