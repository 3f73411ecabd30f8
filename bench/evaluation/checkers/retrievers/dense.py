"""Passages whose embedding lies nearest to the claim's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bench.core.checker import Passage, Retriever
from bench.core.stage import Resources, StageIO

VECTORS = "vectors.npy"


class Dense(Retriever):
    """The cosine of mean-pooled embeddings, exactly over all passages.

    ``path``: a folder with an encoder of transformers and its tokenizer; ``digest`` is that of its files.
    ``passage_prefix`` and ``question_prefix``: what some encoders want before a text ("passage: ", "query: ").
    Passages of equal cosine come in the order of the file.
    """

    NAME: ClassVar[str] = "dense"
    VERSION: ClassVar[int] = 2
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)
    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})

    path: str
    digest: str
    passage_prefix: str = ""
    question_prefix: str = ""

    def build(self, passages: Sequence[Passage], io: StageIO) -> None:
        """Write the passages' vectors."""
        import numpy as np  # noqa: PLC0415 - with torch, when the stage runs

        from bench.models.encoder import embeddings  # noqa: PLC0415 - torch loads here

        texts = [f"{self.passage_prefix}{one.title}. {one.text}" for one in passages]
        np.save(io.out / VECTORS, embeddings(self.path, self.digest, texts, io).numpy())

    def nearest(self, index: Path, questions: Sequence[str], most: int, io: StageIO) -> list[list[int]]:
        """Return the passages with the highest cosines."""
        import numpy as np  # noqa: PLC0415 - with torch, when the stage runs

        from bench.evaluation.checkers.nearest import highest  # noqa: PLC0415 - as above
        from bench.models.encoder import embeddings  # noqa: PLC0415 - torch loads here

        if not questions:
            return []
        texts = [self.question_prefix + question for question in questions]
        known = np.load(index / VECTORS, mmap_mode="r")
        # One question at a time: what one finds does not depend, even by rounding, on what else is asked.
        return [highest(known @ vector, most) for vector in embeddings(self.path, self.digest, texts, io).numpy()]
