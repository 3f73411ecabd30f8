"""Responses that look like a question to their judge: a line for each reader, and nothing where there are none."""

from __future__ import annotations

from typing import cast

import pyarrow as pa

from bench.report.inputs import Inputs
from bench.report.page.content import Bullets
from bench.report.sections.imitations import imitations_section
from bench.results.conclusions.all import Conclusions
from bench.results.conclusions.judge_audit import Imitations
from bench.results.summary import RunSummary
from tests.statistics.build import comparison


def inputs(*found: Imitations) -> Inputs:
    whole = Conclusions(contrasts=(), imitations=found)
    return Inputs(comparison(), cast(RunSummary, None), whole, pa.table({}))


def test_each_reader_has_a_line() -> None:
    blocks = imitations_section(
        inputs(
            Imitations(what="rated", by="gold", task="quiz", count=2),
            Imitations(what="claim", by="api", task="quiz", count=1),
            Imitations(what="labelled", by="gold", task=None, count=1),
        )
    )
    assert next(block for block in blocks if isinstance(block, Bullets)).items == (
        "2 responses on quiz, rated by gold",
        "1 response on quiz, with such a claim, checked by api",
        "1 pair of the labelled data, read by gold",
    )
    assert imitations_section(inputs()) == []
