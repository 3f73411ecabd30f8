"""Labels of a judge in the place of a human's: pairs of responses, and which of the two a judge prefers.

RLAIF, Lee et al. 2023, arXiv:2309.00267, section 2.1. A judge is asked in both orders, and with P1 the preference for
the first one shown, the label of a pair is ``P(a over b) = (P1(a, b) + 1 - P1(b, a)) / 2``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import NonNegativeInt, model_validator

from bench.core.data import DataSpec
from bench.core.datasets import ROWS_FILE, Reply, read_preferences, read_prompts
from bench.core.errors import BenchError, StageError
from bench.core.judge import Judge, Pair, Verdict, one_for_each
from bench.core.lengths import WrittenCounts
from bench.core.policy import Decoding, PolicySpec
from bench.core.reward import CutResponses
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import Prompt
from bench.evaluation.generate import row_seed
from methods._train.loop.resumable import Row, in_parts

LABELS_FILE = "labels.jsonl"
# Pairs or prompts between two checkpoints; a batch never crosses one.
PAIRS_AT_ONCE, PROMPTS_AT_ONCE = 256, 256
NO_LABEL = 0.5


class SamplePairs(Stage):
    """Two responses of ``policy`` to each prompt, as rows of unlabelled preferences.

    ``probability`` of each row is 0.5, for neither is preferred. Each prompt is answered once, also where rows repeat
    it. A pair of equal responses has nothing to learn from and is left out; ``diagnostics.json`` has the number. So is
    a prompt that leaves no room for a response. ``cut_responses``: a pair with a response that was cut is kept, marked
    by ``chosen_finish`` and ``rejected_finish``, so that no end token is put behind it; or left out. The noise of a
    response depends on (seed, prompt, number of the response, position), and is not that of an evaluation.
    """

    KIND: ClassVar[str] = "sample_pairs"
    VERSION: ClassVar[int] = 2
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)

    policy: PolicySpec
    prompts: DataSpec
    decoding: Decoding
    cut_responses: CutResponses = "keep"
    seed: NonNegativeInt

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.decoding.is_greedy:
            raise BenchError(
                "pairs of sampled responses are asked for, and decoding is greedy (temperature 0 or top_k 1), so both "
                "responses to every prompt are equal. Set decoding.temperature above 0 and top_k above 1."
            )
        return self

    def run(self, io: StageIO) -> None:
        """Write ``rows.jsonl`` and ``diagnostics.json``. Raises StageError when no two responses differ."""
        from bench.models.kept import kept_policy

        prompts = unrepeated(read_prompts(self.prompts, io))

        def sample(part: Sequence[Prompt]) -> list[Row]:
            asked = [(prompt, draw) for prompt in part for draw in (0, 1)]
            written = kept_policy(self.policy, io).generate(
                [prompt.chat for prompt, _ in asked],
                self.decoding,
                seeds=[row_seed(self.seed, f"pair\x1f{prompt.id}", draw) for prompt, draw in asked],
                io=io,
            )
            return [
                {
                    **as_row(prompt),
                    "chosen": one.text,
                    "rejected": other.text,
                    "chosen_finish": one.finish,
                    "rejected_finish": other.finish,
                    "probability": NO_LABEL,
                }
                for prompt, one, other in zip(part, written[::2], written[1::2], strict=True)
            ]

        answered = in_parts(io, "pairs", prompts, PROMPTS_AT_ONCE, sample)
        finishes = Counter(row[name] for row in answered for name in ("chosen_finish", "rejected_finish"))
        told = written_counts(finishes, len(prompts), finishes["no_room"] // 2, self.cut_responses)
        check_some_left(self, told)
        rows = [row for row in answered if self._is_kept(row)]
        different = [row for row in rows if row["chosen"] != row["rejected"]]
        if not different:
            raise StageError(
                f"{self.label()}: the policy answers every one of {len(rows)} prompts twice in the same words, so "
                "there is nothing to compare. Raise the temperature of the decoding."
                + (f" {len(answered) - len(rows)} pairs with cut responses are left out." if rows != answered else "")
            )
        write_rows(io, different)
        found = {"prompts": len(rows), "pairs": len(different), "equal_responses": len(rows) - len(different)}
        write_written(io, told, found)

    def _is_kept(self, row: Row) -> bool:
        finishes = {row["chosen_finish"], row["rejected_finish"]}
        return "no_room" not in finishes and not ("length" in finishes and self.cut_responses == "leave_out")


class LabelPreferences(Stage):
    """The pairs of ``pairs``, labelled by ``judge``; labels that the data have are used to measure it and no more.

    ``rows.jsonl``: preferences whose ``chosen`` is the response that the judge prefers over both orders, with
    ``probability``, its label. A tie at exactly 0.5 has the response whose text has the smaller SHA-256 as chosen,
    which depends on no label and on no order. ``labels.jsonl``: per pair, the judge's verdict in each order (P for the
    first one shown), with status and words. A pair without a verdict in one of the orders cannot be debiased: it is in
    ``labels.jsonl`` and counted, and is not trained on. ``diagnostics.json``: see ``diagnostics``.
    """

    KIND: ClassVar[str] = "label_preferences"
    VERSION: ClassVar[int] = 2

    pairs: DataSpec
    judge: Judge

    def resources(self) -> Resources:
        """Return what the judge needs."""
        return self.judge.RESOURCES

    def run(self, io: StageIO) -> None:
        """Write rows, labels and diagnostics. Raises StageError for a judge that labels nothing."""
        preferences = read_preferences(self.pairs, io)
        prompts = read_prompts(self.pairs, io)
        numbers = list(range(len(preferences)))

        def label(part: Sequence[int]) -> list[Row]:
            asked = []
            for number in part:
                chosen, rejected = preferences[number].replies()
                asked.append(paired(prompts[number], chosen, rejected))
                asked.append(paired(prompts[number], rejected, chosen))
            verdicts = one_for_each(self.judge, self.judge.compare(None, asked, io), len(asked))
            io.meter.judgements += len(verdicts)
            both = zip(part, verdicts[::2], verdicts[1::2], strict=True)
            return [_label_row(prompts[number], one, other) for number, one, other in both]

        label_rows = in_parts(io, "labels", numbers, PAIRS_AT_ONCE, label)
        labels = [Label(row["forward"], row["backward"]) for row in label_rows]
        rows = [
            {**as_row(prompt), **preferred(*row.replies(), known)}
            for prompt, row, one in zip(prompts, preferences, labels, strict=True)
            if (known := one.probability) is not None
        ]
        if not rows:
            reasons = ", ".join(
                sorted({row[f"{order}_text"] or row[f"{order}_status"] for row in label_rows for order in _ORDERS})
            )
            raise StageError(f"{self.label()}: judge {self.judge.NAME} gave no label for any pair: {reasons[:300]}.")
        io.meter.labels += len(rows)
        write_rows(io, rows)
        write_lines(io, LABELS_FILE, label_rows)
        own = [row.probability for row in preferences]
        found = diagnostics(labels, own)
        io.diagnose(found)


@dataclass(frozen=True)
class Label:
    """A judge's verdicts on responses a and b: ``forward``, P(first) when a stands first; ``backward``, when b does."""

    forward: float | None
    backward: float | None

    @property
    def probability(self) -> float | None:
        """P(a over b), averaged over both orders; None without both."""
        if self.forward is None or self.backward is None:
            return None
        # Written so that equal preferences give exactly 1/2.
        return NO_LABEL + (self.forward - self.backward) / 2

    @property
    def flipped_to(self) -> str | None:
        """The position that is preferred in both orders, ``first`` or ``second``; None where there is none."""
        if self.forward is None or self.backward is None:
            return None
        if self.forward > NO_LABEL and self.backward > NO_LABEL:
            return "first"
        return "second" if self.forward < NO_LABEL and self.backward < NO_LABEL else None


def preferred(one: Reply, other: Reply, probability: float) -> Row:
    """Return the columns of a preference with P(one over other); a tie goes to the smaller SHA-256 of the text."""
    swapped = probability < NO_LABEL or (probability == NO_LABEL and _sha(other.text) < _sha(one.text))
    chosen, rejected = (other, one) if swapped else (one, other)
    return {
        "chosen": chosen.text,
        "rejected": rejected.text,
        "chosen_finish": chosen.finish,
        "rejected_finish": rejected.finish,
        "probability": max(probability, 1.0 - probability),
    }


def diagnostics(labels: Sequence[Label], own: Sequence[float]) -> dict[str, float | None]:
    """Return how a judge labelled pairs; ``own`` are the data's labels of the same pairs, P(a over b), 0.5 for none.

    ``flip_rate``: the share of pairs for which the same position is preferred in both orders (RLAIF's table 4), and
    ``flips_to_first``: of these, the share that prefers the first. ``confidence``: the mean of max(P, 1 - P).
    ``agreement``: the share on which the label and the data agree (RLAIF's AI labeler alignment), a tie of the judge
    counting one half, over the ``compared`` pairs that the data label. None where nothing is there to average.
    """
    known = [
        (label, mine, value)
        for label, mine in zip(labels, own, strict=True)
        if (value := label.probability) is not None
    ]
    flips = [label.flipped_to for label, _, _ in known if label.flipped_to is not None]
    compared = [(value, mine) for _, mine, value in known if mine != NO_LABEL]
    agreed = [
        NO_LABEL if value == NO_LABEL else float((value > NO_LABEL) == (mine > NO_LABEL)) for value, mine in compared
    ]
    shown_first = [value for label, _, _ in known for value in (label.forward, label.backward) if value is not None]
    return {
        "pairs": len(labels),
        "labelled": len(known),
        "undefined": len(labels) - len(known),
        "ties": sum(value == NO_LABEL for _, _, value in known),
        "flip_rate": _mean([float(label.flipped_to is not None) for label, _, _ in known]),
        "flips_to_first": _mean([float(position == "first") for position in flips]),
        "prefers_first": _mean(shown_first),
        "confidence": _mean([max(value, 1.0 - value) for _, _, value in known]),
        "compared": len(compared),
        "agreement": _mean(agreed),
    }


def unrepeated(prompts: Iterable[Prompt]) -> list[Prompt]:
    """Return the prompts without those whose chat stood before."""
    first: dict[Any, Prompt] = {}
    for prompt in prompts:
        first.setdefault(prompt.chat, prompt)
    return list(first.values())


def paired(prompt: Prompt, first: Reply, second: Reply) -> Pair:
    """Return two responses as a judge sees them."""
    return Pair(prompt=prompt, first=first.text, second=second.text, first_ended=first.ended, second_ended=second.ended)


def written_counts(
    finishes: Mapping[str, int], prompts: int, too_long: int, cut_responses: CutResponses
) -> WrittenCounts:
    """Return what became of prompts and responses; ``finishes``: how many responses stopped in which way."""
    return WrittenCounts(
        prompts=prompts,
        too_long=too_long,
        responses=finishes.get("end", 0) + finishes.get("length", 0),
        cut=finishes.get("length", 0),
        left_out=finishes.get("length", 0) if cut_responses == "leave_out" else 0,
    )


def check_some_left(stage: Stage, told: WrittenCounts) -> None:
    """Raise StageError where no response is left to learn from."""
    if told.responses > told.left_out:
        return
    raise StageError(
        f"{stage.label()}: no response is left to learn from: of {told.prompts} prompts {told.too_long} leave no room "
        f"for one, and {told.left_out} responses were cut at max_new_tokens and are left out. Shorten the prompts, "
        "raise or lower decoding.max_new_tokens, or set cut_responses: keep."
    )


def write_written(io: StageIO, told: WrittenCounts, more: Mapping[str, Any] | None = None) -> None:
    """Write ``diagnostics.json``: ``written``, what became of prompts and responses, and ``more``."""
    found = {**(more or {}), "written": told.model_dump()}
    io.diagnose(found)


def as_row(prompt: Prompt) -> Row:
    """Return a prompt's columns as ``read_prompts`` reads them."""
    turns = [turn.model_dump() for turn in prompt.chat]
    return {"id": prompt.id, "prompt": turns, "kind": prompt.kind, "facts": prompt.facts}


def write_rows(io: StageIO, rows: Iterable[Row]) -> None:
    """Write rows of data for other stages to read."""
    write_lines(io, ROWS_FILE, rows)


def write_lines(io: StageIO, name: str, rows: Iterable[Row]) -> None:
    """Write rows as JSON Lines into the payload."""
    (io.out / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


_ORDERS = ("forward", "backward")


def _label_row(prompt: Prompt, forward: Verdict, backward: Verdict) -> Row:
    row: Row = {"id": prompt.id}
    for order, verdict in zip(_ORDERS, (forward, backward), strict=True):
        row |= {order: verdict.value, f"{order}_status": verdict.status, f"{order}_text": verdict.text}
    return row


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
