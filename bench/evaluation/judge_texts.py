"""Judging texts that no generation of ours wrote: one judge, pairs of responses, both presentation orders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.frozen import Frozen
from bench.core.judge import Judge, Pair, one_for_each
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import Prompt
from bench.evaluation.measurements.win_rate import PAYLOAD, PAYLOAD_SCHEMA


class TextPair(Frozen):
    """Two responses to one prompt: ours, and the one that it is compared with."""

    prompt: Prompt
    a: str
    b: str

    def presentations(self) -> Iterator[tuple[str, Pair]]:
        """Yield where our response stands, and the pair as a judge sees it, in both orders."""
        yield "first", Pair(prompt=self.prompt, first=self.a, second=self.b)
        yield "second", Pair(prompt=self.prompt, first=self.b, second=self.a)


class JudgeTexts(Stage):
    """Verdicts on pairs of texts, in both orders, each turned back into the preference for ``a``.

    The texts are part of the key, and no file and no name is: what was judged once is found again wherever it stands.
    """

    KIND: ClassVar[str] = "judge_texts"
    VERSION: ClassVar[int] = 1

    pairs: tuple[TextPair, ...]
    judge: Judge

    def resources(self) -> Resources:
        """Return what the judge needs."""
        return self.judge.RESOURCES

    def run(self, io: StageIO) -> None:
        """Write ``verdicts.parquet``: one row per pair and order."""
        shown = [(pair.prompt.id, *one) for pair in self.pairs for one in pair.presentations()]
        verdicts = one_for_each(self.judge, self.judge.compare(None, [pair for _, _, pair in shown], io), len(shown))
        io.meter.judgements += len(verdicts)
        rows = [
            {
                "prompt": prompt,
                "draw": 0,
                "order": order,
                "value": one.value if one.value is None or order == "first" else 1.0 - one.value,
                "status": one.status,
                "text": one.text,
            }
            for (prompt, order, _), one in zip(shown, verdicts, strict=True)
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=PAYLOAD_SCHEMA), io.out / PAYLOAD)


def verdicts_on(payload: Path) -> list[Mapping[str, Any]]:
    """Return the rows in the payload of such a stage."""
    return list(pq.read_table(payload / PAYLOAD).to_pylist())
