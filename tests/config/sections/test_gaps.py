"""``evaluate.gap_closed`` and a gate over ratings: what arrives, and what is told with its line and a near match."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config.comparison import Comparison, GapClosed
from bench.config.load import load_comparison
from bench.core.errors import ConfigError
from tests.config.conftest import RIGHT

GAP = """\
  gap_closed:
    - {of: again, from: floor, to: tuned}
    - {of: again, from: floor, to: tuned, metric: accuracy}
"""
RATINGS = "  ratings: [{judge: ./judge.py, name: rater}, {judge: ./judge.py, name: other, margin: 1.0}]\n"
ASKING = RIGHT.replace("  contrasts:\n", GAP + RATINGS + "  contrasts:\n")
WRONG = {
    "not a list": (GAP, "  gap_closed: {of: again} #!\n", "evaluate.gap_closed", "must be a list"),
    "arm": ("{of: again, from: floor, to: tuned}", "{of: agian, from: floor, to: tuned} #!", "gap_closed.0.of",
            "Did you mean 'again'?"),
    "missing": ("{of: again, from: floor, to: tuned}", "{of: again, from: floor} #!", "gap_closed.0.to", "is missing"),
    "key": ("{of: again, from: floor, to: tuned}", "{of: again, form: floor, from: floor, to: tuned} #!",
            "gap_closed.0.form", "Did you mean 'from'?"),
    "same arm": ("{of: again, from: floor, to: tuned}", "{of: again, from: floor, to: floor} #!", "gap_closed.0",
                 "three methods"),
    "twice": ("to: tuned, metric: accuracy}", "to: tuned} #!", "gap_closed.1", "stands twice"),
    "metric": ("metric: accuracy}", "metric: acuracy} #!", "gap_closed.1.metric", "Did you mean 'accuracy'?"),
    "metric number": ("metric: accuracy}", "metric: 3} #!", "gap_closed.1.metric", "must be a name, not 3"),
    "divergence": ("metric: accuracy}", "metric: divergence} #!", "gap_closed.1.metric", "no better side"),
    "judge of a task's metric": ("metric: accuracy}", "metric: accuracy, judge: strict} #!", "gap_closed.1.judge",
                                 "has no judge"),
    "judge": ("to: tuned}", "to: tuned, judge: stub_juge} #!", "gap_closed.0.judge", "Did you mean 'stub_judge'?"),
    "no ratings": (RATINGS, "", "gap_closed.1.metric", "there is no rating without a judge"),
}  # fmt: skip


def load(folder: Path, text: str) -> Comparison:
    (folder / "comparison.yaml").write_text(text, encoding="utf-8")
    return load_comparison(folder)


def test_questions_arrive(place: Path) -> None:
    found = load(place, ASKING).evaluation
    assert found.versus == "floor"
    assert found.gap_closed == (
        GapClosed(of="again", start="floor", goal="tuned", metric="win_rate"),
        GapClosed(of="again", start="floor", goal="tuned", metric="accuracy"),
    )
    named = load(place, ASKING.replace("metric: accuracy}", "metric: rating, judge: other}")).evaluation.gap_closed[1]
    assert (named.metric, named.judge) == ("rating", "other")
    assert load(place, RIGHT).evaluation.gap_closed == ()


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_place(place: Path, name: str) -> None:
    old, new, path, what = WRONG[name]
    text = ASKING.replace("metric: accuracy}", "metric: rating}") if name == "no ratings" else ASKING
    assert old in text
    text = text.replace(old, new, 1)
    with pytest.raises(ConfigError) as caught:
        load(place, text)
    problems = [line for line in str(caught.value).split("\n") if path in line]
    assert problems, str(caught.value)
    assert what in str(caught.value)
    if "#!" in text:
        line = next(number for number, line in enumerate(text.split("\n"), start=1) if "#!" in line)
        assert f":{line}" in problems[0]


def test_a_gate_may_ask_for_ratings(place: Path) -> None:
    wants = ASKING.replace("  - metric: accuracy\n", "  - metric: rating\n    judge: rater\n")
    assert load(place, wants).gate[1].judge == "rater"
    with pytest.raises(ConfigError, match="several judges give a rating"):
        load(place, wants.replace("    judge: rater\n", ""))
    with pytest.raises(ConfigError, match="Did you mean 'rater'"):
        load(place, wants.replace("judge: rater", "judge: ratr"))
    with pytest.raises(ConfigError, match="there is no rating without a judge"):
        load(place, wants.replace(RATINGS, ""))


def test_a_policy_is_not_judged_by_its_own_reward_model_alone(place: Path) -> None:
    only = "judges: [{judge: reward_model, of: tuned}]\n"
    start = RIGHT.index("judges:\n      - ./judge.py")
    end = RIGHT.index("    versus: floor")
    text = RIGHT[:start] + only + RIGHT[end:]
    with pytest.raises(ConfigError, match="must not be judged only by the reward model"):
        load(place, text.replace("    judge: stub_judge\n", ""))
    both = text.replace("of: tuned}]", "of: tuned}, ./judge.py]")
    assert [named.label for named in load(place, both).evaluation.judges] == ["reward_model", "stub_judge"]
