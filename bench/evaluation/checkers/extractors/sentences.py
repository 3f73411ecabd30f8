"""Every sentence is a claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from bench.core.checker import Extractor
from bench.core.judge import Response
from bench.core.stage import StageIO
from bench.core.task import Claim, Task
from bench.evaluation.checkers.sentence_split import abstains, sentence_spans


class Sentences(Extractor):
    """Every sentence of a response as one claim, but those in which the model declines to answer.

    Coarse: a sentence with one wrong part is wrong as a whole. It needs no model, so it is the same for every arm.
    """

    NAME: ClassVar[str] = "sentences"
    VERSION: ClassVar[int] = 3

    def extract(self, task: Task, responses: Sequence[Response], io: StageIO) -> list[list[Claim]]:
        """Return the sentences of each response, in order."""
        return [
            [
                Claim(text=text, start=start, end=end)
                for start, end in sentence_spans(response.text)
                if not abstains(text := response.text[start:end])
            ]
            for response in responses
        ]
