"""Passages that share rare words with the claim (Okapi BM25)."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from bench.core.checker import Passage, Retriever
from bench.core.errors import StageError
from bench.core.stage import StageIO

WORD = re.compile(r"\w+")
FOLDER, VOCABULARY = "bm25", "vocabulary.json"


class BM25(Retriever):
    """Okapi BM25 in Lucene's form over lower-cased words, title included (package ``bm25s``, arXiv 2407.03618).

    ``k1`` and ``b`` are that package's defaults. Passages of equal score come in the order of the file.
    """

    NAME: ClassVar[str] = "bm25"
    VERSION: ClassVar[int] = 1

    k1: Annotated[float, Field(ge=0)] = 1.5
    b: Annotated[float, Field(ge=0, le=1)] = 0.75

    def build(self, passages: Sequence[Passage], io: StageIO) -> None:
        """Write the index: word numbers in the order of their first occurrence, and the package's own files."""
        bm25s = _package()
        numbers: dict[str, int] = {}
        read = [
            [numbers.setdefault(word, len(numbers)) for word in words_of(f"{one.title} {one.text}")] for one in passages
        ]
        index = bm25s.BM25(k1=self.k1, b=self.b, method="lucene")
        index.index((read, numbers), create_empty_token=False, show_progress=False)
        index.save(io.out / FOLDER, show_progress=False)
        (io.out / VOCABULARY).write_text(json.dumps(list(numbers), ensure_ascii=False), encoding="utf-8")

    def nearest(self, index: Path, questions: Sequence[str], most: int, io: StageIO) -> list[list[int]]:
        """Return the passages with the highest scores; those that share no word with the question are left out."""
        from bench.evaluation.checkers.nearest import highest  # noqa: PLC0415 - numpy loads when the stage runs

        engine = _package().BM25.load(index / FOLDER, show_progress=False)
        words = json.loads((index / VOCABULARY).read_text(encoding="utf-8"))
        numbers = {word: number for number, word in enumerate(words)}
        found: list[list[int]] = []
        for question in questions:
            known = [numbers[word] for word in words_of(question) if word in numbers]
            if not known:
                found.append([])
                continue
            scores = engine.get_scores_from_ids(known)
            found.append([place for place in highest(scores, most) if scores[place] > 0])
        return found


def words_of(text: str) -> list[str]:
    """Return the lower-cased words of a text."""
    return WORD.findall(text.lower())


def _package() -> Any:
    """Return the package, which is an extra. Raises StageError without it."""
    try:
        return importlib.import_module("bm25s")
    except ImportError as error:
        raise StageError(
            "the retriever bm25 needs the package bm25s: pip install 'alignment-bench[retrieval]', or use "
            "`retriever: {retriever: dense, path: ...}`"
        ) from error
