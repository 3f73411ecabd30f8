"""Outputs that have no verdicts yet are judged: in both orders, with the audit that a run makes of its judges.

Verdicts are stages in a store, some hundred pairs each, keyed by the texts: what was judged is not judged again, and
a killed call goes on behind the last part that was done. Answers that were paid for are kept one by one besides.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from bench.config.comparison import Common, Comparison, Evaluation, Named
from bench.core.errors import DataError
from bench.core.judge import Judge, reseeded
from bench.core.metrics import WIN_RATE
from bench.core.policy import Decoding, Pretrained
from bench.core.stage import Progress
from bench.core.task import Prompt, Task, user
from bench.engine.execute import execute
from bench.engine.processes import accelerators
from bench.engine.store import Store
from bench.evaluation.judge_texts import JudgeTexts, TextPair, verdicts_on
from bench.evaluation.measurements.judge_controls import CONTROLS
from bench.results.conclusions.judge_audit import JudgeAudit
from bench.results.records import AUDIT, CONTROL, IMITATION, RECORDS, RETEST, TASK_SOURCE
from bench.scoring import win_rates
from bench.scoring.method_score import Score
from bench.scoring.paired import LEVEL
from bench.scoring.preferences import REPEATED, AnswerFile, answers_of
from bench.scoring.row_files import RowFile, RowOfKind, read_file
from bench.statistics.judges.audit import CHARACTERS, judge_audits
from bench.statistics.tests.confidence import Confidence

TASK = "outputs"
# Pairs of one stage. More lose more of a killed call, fewer load a judge's model more often.
PAIRS_AT_ONCE = 256
# On how many pairs a judge that draws noise is asked once more, as in a run (evaluate.win_rate.retest).
RETESTED = 50
Row = Mapping[str, Any]


class OutputsToScore(Task):
    """The prompts of files of outputs, as the audit names them."""

    NAME: ClassVar[str] = TASK
    VERSION: ClassVar[int] = 1

    def prompts(self) -> Sequence[Prompt]:
        """Return none: they stand in the files."""
        return ()

    def decoding(self) -> Decoding:
        """Return a decoding that nobody uses."""
        return Decoding()


@dataclass(frozen=True)
class Asking:
    """What is judged: files of outputs, the file that they are compared with, and by which judges.

    ``difficulty`` and ``calibration`` are those of the length control. ``told`` is called with what is going on.
    """

    outputs: Sequence[Path]
    reference: str | None
    judges: tuple[Named, ...]
    store: Store
    difficulty: str | None = None
    calibration: Path | None = None
    told: Callable[[str], None] = lambda _text: None


def judged_scores(asking: Asking) -> list[Score]:
    """Return one score per method and judge, its audit among its details.

    Raises DataError for files that are no outputs or share no prompt, and BenchError where a judge cannot be asked.
    """
    files = [_outputs(Path(path)) for path in asking.outputs]
    if asking.reference is None:
        raise DataError("which answers to compare with? Give --reference FILE")
    base, methods = answers_of(_outputs(Path(asking.reference))), [answers_of(file) for file in files]
    kept = [_judged(asking, named, method, base) for named in asking.judges for method in methods]
    verdicts = [file for one in kept for file in one.files]
    if not verdicts:
        raise DataError("nothing to judge: no prompt has two different answers")
    found = win_rates.scores(
        win_rates.WinRateFiles(files, verdicts, asking.reference, asking.difficulty, asking.calibration, "1-2")
    )
    return [_with_audit(one, kept) for one in found]


def _outputs(path: Path) -> RowFile:
    file = read_file(path)
    if file.kind != "outputs":
        raise DataError(f"{path}: holds {file.kind}, and --judge judges answers (instruction, output)")
    return file


@dataclass(frozen=True)
class _Kept:
    """What one judge said of one method. ``files``: the verdicts as AlpacaEval writes them, none without a pair."""

    judge: str
    method: str
    files: tuple[RowFile, ...]
    audit: JudgeAudit | None
    noted: Mapping[str, int]


def _judged(asking: Asking, named: Named, method: AnswerFile, base: AnswerFile) -> _Kept:
    pairs = list(_pairs(method, base))
    if not pairs:
        return _Kept(named.label, method.name, (), None, {})
    rows = list(_verdicts(asking, named.judge, pairs, f"{named.label} on {method.name} against {base.name}"))
    again = reseeded(named.judge)
    retest = [] if again is None else list(_verdicts(asking, again, pairs[:RETESTED], f"{named.label} once more"))
    controls = {control.NAME: list(_verdicts(asking, control, pairs, "")) for control in CONTROLS}
    tables = _Tables(named.label, method.name, base.name, pairs)
    audit = pa.concat_tables([
        *(tables.of(CONTROL, name, verdicts) for name, verdicts in controls.items()),
        tables.of(RETEST, named.label, retest),
        tables.of(IMITATION, named.label, list(_imitations(named.judge, pairs))),
    ])  # fmt: skip
    records = pa.concat_tables([tables.of(WIN_RATE.name, named.label, rows), tables.lengths()])
    audits, _ = judge_audits(records, audit, _as_comparison(named, method.name, base.name))
    return _Kept(
        named.label,
        method.name,
        (_as_annotations(rows, named.label, method, base, pairs),),
        next((one for one in audits if one.a is not None), None),
        _failed(rows),
    )


def _pairs(method: AnswerFile, base: AnswerFile) -> Iterator[TextPair]:
    """Yield the pairs of different answers to one instruction; equal ones are a tie that nobody needs to judge."""
    for instruction, text in method.by_instruction.items():
        other = base.by_instruction.get(instruction)
        if text is not None and other is not None and text != other:
            name = hashlib.sha256(instruction.encode()).hexdigest()[:16]
            yield TextPair(prompt=Prompt(id=name, chat=user(instruction), cluster=name), a=text, b=other)


def _verdicts(asking: Asking, judge: Judge, pairs: Sequence[TextPair], about: str) -> Iterator[Row]:
    """Yield the verdicts on pairs, computed part by part where the store has them not."""
    device = "cuda" if judge.RESOURCES.accelerator and accelerators() else "cpu"
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        part = pairs[start : start + PAIRS_AT_ONCE]
        stage = JudgeTexts(pairs=tuple(part), judge=judge)

        def progressed(progress: Progress) -> None:
            if about:
                note = f", {progress.note}" if progress.note else ""
                asking.told(f"{about}: {progress.done} of {progress.total} {progress.unit}s of a part{note}")

        computed = execute(stage, asking.store, device, progressed, asking.told)
        if about and computed:
            asking.told(f"{about}: {start + len(part)} of {len(pairs)} pairs judged")
        yield from verdicts_on(asking.store.payload(stage))


def _imitations(judge: Judge, pairs: Sequence[TextPair]) -> Iterator[Row]:
    for pair in pairs:
        if any(map(judge.is_imitated_by, (pair.a, pair.b))):
            yield {"prompt": pair.prompt.id, "order": "first", "value": 1.0, "status": "ok"}


@dataclass(frozen=True)
class _Tables:
    """Rows as records, of one judge on one method against the reference."""

    judge: str
    method: str
    versus: str
    pairs: Sequence[TextPair]

    def of(self, metric: str, source: str, rows: Sequence[Row]) -> pa.Table:
        """Return verdicts as rows of a metric."""
        about = {"method": self.method, "versus": self.versus, "metric": metric, "source": source}
        schema = (RECORDS if metric == WIN_RATE.name else AUDIT).schema
        return pa.Table.from_pylist([{**self._of(row), **about} for row in rows], schema=schema).cast(RECORDS.schema)

    def lengths(self) -> pa.Table:
        """Return the lengths of both sides."""
        rows = [
            {
                **self._of({"prompt": pair.prompt.id, "value": float(len(text)), "status": "ok"}),
                "method": method, "metric": CHARACTERS, "source": TASK_SOURCE,
            }
            for pair in self.pairs
            for method, text in ((self.method, pair.a), (self.versus, pair.b))
        ]  # fmt: skip
        return pa.Table.from_pylist(rows, schema=RECORDS.schema)

    def _of(self, row: Row) -> dict[str, Any]:
        prompt = row["prompt"]
        same = {"task": TASK, "prompt": prompt, "cluster": prompt, "kind": "prompt", "run": 0, "draw": 0}
        return {**same, "order": row.get("order"), "value": row["value"], "status": row["status"]}


def _as_comparison(named: Named, method: str, versus: str) -> Comparison:
    """Return what the audit reads of a comparison: the judge, the pair, and the default level."""
    evaluation = Evaluation(tasks=(OutputsToScore(),), judges=(named,), contrasts=((method, versus),))
    given = Common(base=Pretrained(path=TASK), seeds=(0,))
    return Comparison(name=TASK, path=TASK, question=TASK, given=given, arms=(), evaluation=evaluation)


def _as_annotations(
    rows: Sequence[Row], judge: str, method: AnswerFile, base: AnswerFile, pairs: Sequence[TextPair]
) -> RowFile:
    """Return verdicts as AlpacaEval stores them, a row for each order.

    A pair with a verdict in one order only has none: by itself it would have the judge's liking for a position in it.
    """
    whole = {row["prompt"] for row in rows} - {row["prompt"] for row in rows if row["value"] is None}
    by_prompt = {pair.prompt.id: pair for pair in pairs}
    made = []
    for row in rows:
        pair = by_prompt[row["prompt"]]
        ours = {"generator": method.name, "output": pair.a}
        theirs = {"generator": base.name, "output": pair.b}
        first, second = (ours, theirs) if row["order"] == "first" else (theirs, ours)
        second_wins = None
        if row["prompt"] in whole:
            second_wins = 1.0 - row["value"] if row["order"] == "first" else row["value"]
        cells = {
            "instruction": pair.prompt.text,
            "annotator": judge,
            **{f"{name}_1": text for name, text in first.items()},
            **{f"{name}_2": text for name, text in second.items()},
            "preference": None if second_wins is None else 1.0 + second_wins,
        }
        made.append(RowOfKind(f"{judge} on {pair.prompt.id}, ours {row['order']}", "annotations", cells))
    return RowFile(Path(f"verdicts of {judge}"), "annotations", made)


def _failed(rows: Sequence[Row]) -> dict[str, int]:
    """Return how many calls of the judge gave nothing usable, by how and the first reason."""
    counts = Counter(row["status"] for row in rows if row["value"] is None)
    why = {row["status"]: row["text"] for row in reversed(rows) if row["value"] is None}
    return {
        f"calls of the judge without a verdict ({status}{f': {why[status][:80]}' if why[status] else ''})": count
        for status, count in counts.items()
    }


def _with_audit(score: Score, kept: Sequence[_Kept]) -> Score:
    """Return a score with the audit of the judge on this method; one method may be judged by several."""
    own = next(one for one in kept if (one.judge, one.method) == (score.judge or kept[0].judge, score.name))
    intervals = {
        "win_rate_interval": _interval(score.win_rate, score.standard_error, score.n),
        "length_controlled_interval": _interval(
            score.length_controlled_win_rate, score.length_controlled_standard_error, score.n
        ),
    }
    audit = {} if own.audit is None else {"audit": own.audit.model_dump()}
    # Both orders of every pair are here because they were asked for, and are not repeated by mistake.
    noted = {what: count for what, count in score.noted.items() if what != REPEATED}
    return replace(score, noted={**noted, **own.noted}, details={**score.details, **intervals, **audit})


def _interval(estimate: float | None, error: float | None, prompts: int) -> tuple[float, float] | None:
    """Return the 95% interval of a win rate in percent, by the t law over prompts; None without an error."""
    if estimate is None or error is None or prompts < 2:
        return None
    low, high = Confidence(estimate, error**2, prompts - 1).interval(LEVEL)
    return max(0.0, float(low)), min(100.0, float(high))
