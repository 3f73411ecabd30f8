"""Every verdict there is, in every place that words or marks one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from bench.export.contrast_tables import as_latex
from bench.gate.criteria import TURNED, turned
from bench.report import sentences
from bench.report.figures.forest import LOOK
from bench.report.page.markdown import write_report
from bench.report.sections.other_metrics import MARKS
from bench.report.terminal.contrast_tables import STYLES
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.conclusions.contrast import Contrast, VerdictOnPair
from bench.results.summary import SUMMARY
from bench.results.wording import describe_verdict
from tests.report.synthetic import build
from tests.report.synthetic import contrast as made
from tests.report.synthetic import records as rows_made
from tests.sketched import sketched

HIGHER = {"metric": "response_tokens", "judge": None, "higher_is_better": None, "null_value": 0.0, "is_control": False}


def directionless(verdict: VerdictOnPair, estimate: float = 3.0, **changes: Any) -> Contrast:
    one = made(rows_made({}), ("dpo", "sft"), "response_tokens")
    return one.model_copy(update={**HIGHER, "verdict": verdict, "estimate": estimate, **changes})


@pytest.mark.parametrize("known", [TURNED, sentences.TONES, LOOK, MARKS, STYLES])
def test_no_place_forgets_a_verdict(known: dict[str, object]) -> None:
    assert set(known) == set(get_args(VerdictOnPair))


def test_who_is_higher_is_said_with_an_arrow_and_never_as_better(tmp_path: Path) -> None:
    up, down = directionless("a higher"), directionless("b higher", -3.0)
    assert (describe_verdict(up), describe_verdict(down)) == ("↑ dpo higher", "↓ sft higher")
    assert sentences.headline(up).startswith("dpo is higher than sft on response tokens")
    assert sentences.headline(down).startswith("dpo is lower than sft on response tokens")
    assert turned(up, "sft").verdict == "b higher"
    build(tmp_path)
    table = as_latex([up, down], SUMMARY.read(tmp_path))
    assert r"$\uparrow$ dpo higher" in table and r"$\downarrow$ sft higher" in table


def test_controls_are_counted_by_what_they_could_have_found(tmp_path: Path) -> None:
    comparison = build(tmp_path)
    control: dict[str, Any] = {"a": "dpo", "b": "dpo_again", "is_control": True}
    alarm = directionless("a higher", **control)
    untested = directionless("undecided", **control, metric="odd", p=None, p_adjusted=None)
    found = CONCLUSIONS.read(tmp_path)
    others = [item for item in found.contrasts if not (item.is_control and item.metric != "win_rate")]
    quiet = [directionless("undecided", 0.1, **control, metric="response_words", p=0.7, p_adjusted=0.7)]
    CONCLUSIONS.write(found.model_copy(update={"contrasts": (*others, *quiet, alarm, untested)}), tmp_path)
    with sketched():
        report = write_report(tmp_path, comparison).read_text(encoding="utf-8")
    assert "On further metrics 1 of 2 tested controls find no difference" in report
    assert "chance alone gives 0.1 false alarms on average; 1 could not be tested." in report
    assert "the same treatment trained twice: ↑ dpo higher on response tokens (questions), a false alarm" in report
