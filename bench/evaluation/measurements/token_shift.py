"""Which tokens proxy-tuning makes likelier or less likely than the base: a stage, and its rows as facts of an arm."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.errors import StageError
from bench.core.policy import Proxy, root
from bench.core.stage import Resources, Stage, StageIO
from bench.evaluation.generate import Generate, is_answered, read_rows
from bench.evaluation.measurement import Cell, Design, Measurement
from bench.results.summary import ShiftFacts, TokenFacts

TOKENS = "tokens.parquet"
TOTALS = "totals.json"
TOKENS_SCHEMA = pa.schema(
    [
        pa.field("token", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("written", pa.int64(), nullable=False),
        pa.field("logprob", pa.float64(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),
        pa.field("expected", pa.float64(), nullable=False),
    ]
)
# Tokens that were never written are kept as far as their probability changed most, this many each way.
KEPT = 200
# Tokens that a report shows, each way.
SHOWN = 15


class TokenShift(Stage):
    """How the probabilities of a proxied policy differ from its base's at every token of its own responses.

    ``tokens.parquet`` has sums per token (see ``bench.models.likelihood.token_shift.Shifts``), of all that were
    written and of those whose probability changed most; ``totals.json`` the number of positions, and of those where
    the base would have chosen another token. The paper's analysis (arXiv:2401.08565, section 6) looks at written
    tokens; what falls is often not written any more, so the change over the whole vocabulary is here too.
    """

    KIND: ClassVar[str] = "token_shift"
    VERSION: ClassVar[int] = 2
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)

    responses: Generate

    def run(self, io: StageIO) -> None:
        """Write the sums. Raises StageError for a policy that is not proxied."""
        if not isinstance(root(self.responses.policy), Proxy):
            raise StageError(f"{self.label()}: the policy is not a proxied one, so it has no base to differ from.")
        from bench.models.likelihood.token_shift import shifts  # noqa: PLC0415 - torch loads here and not when planning

        chats = {prompt.id: prompt.chat for prompt in self.responses.task.prompts()}
        answers = [row for row in read_rows(io, self.responses) if is_answered(row)]
        found = shifts(self.responses.policy, [(chats[row["prompt"]], row["tokens"]) for row in answers], io)
        expected = found.expected.tolist()
        order = sorted(range(len(expected)), key=lambda token: (expected[token], token))
        written = found.written.nonzero()[:, 0].tolist()
        rows = [
            {
                "token": token,
                "text": found.texts[token],
                "written": int(found.written[token]),
                "logprob": float(found.logprob[token]),
                "probability": float(found.probability[token]),
                "expected": expected[token],
            }
            for token in sorted({*order[:KEPT], *order[-KEPT:], *written})
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=TOKENS_SCHEMA), io.out / TOKENS)
        totals = {"positions": found.positions, "other_choice": found.other_choice}
        (io.out / TOTALS).write_text(json.dumps(totals, indent=2) + "\n", encoding="utf-8")


def shift_facts(arm: str, task: str, payloads: Sequence[Path]) -> ShiftFacts | None:
    """Return the tokens whose probability rose and fell most over the payloads of an arm's seeds.

    None for an arm that wrote nothing.
    """
    totals: dict[int, dict[str, Any]] = {}
    positions = other = 0
    logprob = 0.0
    for payload in payloads:
        counts = json.loads((payload / TOTALS).read_text(encoding="utf-8"))
        positions, other = positions + counts["positions"], other + counts["other_choice"]
        for row in pq.read_table(payload / TOKENS).to_pylist():
            known = totals.setdefault(
                row["token"], {"text": row["text"], "written": 0, "logprob": 0.0, "expected": 0.0}
            )
            for name in ("written", "logprob", "expected"):
                known[name] += row[name]
            logprob += row["logprob"]
    order = sorted(totals.items(), key=lambda item: (-item[1]["expected"], item[0]))
    if not positions:
        return None
    return ShiftFacts(
        arm=arm,
        task=task,
        positions=positions,
        other_choice=other / positions,
        logprob_change=logprob / positions,
        raised=tuple(_fact(one, positions) for _, one in order[:SHOWN] if one["expected"] > 0),
        lowered=tuple(_fact(one, positions) for _, one in reversed(order[-SHOWN:]) if one["expected"] < 0),
    )


def _fact(one: dict[str, Any], positions: int) -> TokenFacts:
    return TokenFacts(
        text=one["text"],
        written=one["written"],
        per_thousand=1000 * one["expected"] / positions,
        logprob_change=one["logprob"] / one["written"] if one["written"] else None,
    )


class TokenShifts(Measurement):
    """Which tokens steering makes likelier in the responses of every proxied arm; reported in ``run.json``."""

    NAME: ClassVar[str] = "token_shift"
    OPTIONAL: ClassVar[bool] = False
    ORDER: ClassVar[int] = 8
    LEAVES_OUT: ClassVar[Literal["arm", "judge", "nothing"]] = "nothing"

    def cells(self, design: Design) -> Iterator[Cell[TokenShift]]:
        """Yield every proxied arm on every task at every seed."""
        for task, arm, seed, policy in design.each():
            if isinstance(root(policy), Proxy):
                yield Cell(self, TokenShift(responses=design.answers[task.NAME, arm, seed]), arm, seed, task)
