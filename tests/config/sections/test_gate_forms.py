"""The two forms of ``gate``, its settings, and criteria against a baseline."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config.comparison import Comparison, GateSettings
from bench.config.load import load_comparison
from bench.core.errors import ConfigError
from tests.config.conftest import RIGHT

AGAINST = "  - {metric: accuracy, method: tuned, versus: baseline, not_worse_by: 0.1}\n"


def load(folder: Path, text: str) -> Comparison:
    (folder / "comparison.yaml").write_text(text, encoding="utf-8")
    return load_comparison(folder)


def test_a_list_and_a_mapping_say_the_same(place: Path) -> None:
    listed = load(place, RIGHT)
    before, _, criteria = RIGHT.partition("gate:\n")
    indented = "".join(f"  {line}\n" for line in criteria.splitlines())
    mapping = load(place, f"{before}gate:\n  correction: none\n  baseline: old/b.json\n  criteria:\n{indented}")
    assert mapping.gate == listed.gate
    assert listed.gate_settings == GateSettings()
    assert listed.gate_settings.correction == "holm"
    assert mapping.gate_settings == GateSettings(correction="none", baseline=str(place.resolve() / "old" / "b.json"))


def test_a_criterion_against_the_baseline_asks_for_no_further_contrast(place: Path) -> None:
    found = load(place, RIGHT + AGAINST)
    assert found.gate[-1].against_baseline
    assert found.evaluation.contrasts == load(place, RIGHT).evaluation.contrasts


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("metric: accuracy, method: tuned, versus: b", "metric: acuracy, method: tuned, versus: b", "mean 'accuracy'"),
        ("method: tuned, versus: b", "method: tund, versus: b", "Did you mean 'tuned'"),
        ("metric: accuracy, method: tuned, versus: b", "metric: win_rate, judge: stub_judge, method: floor, versus: b",
         "win rates are against 'floor' itself"),
        ("versus: baseline", "versus: tuned", "`versus: baseline` for its own earlier run"),
    ],
)  # fmt: skip
def test_what_a_baseline_cannot_have_is_told(place: Path, old: str, new: str, told: str) -> None:
    assert old in RIGHT + AGAINST
    with pytest.raises(ConfigError, match=told):
        load(place, (RIGHT + AGAINST).replace(old, new))


def test_a_method_called_baseline_is_refused_in_a_gate_only(place: Path) -> None:
    text = RIGHT.replace("methods:\n", "methods:\n  baseline: {method: ./floor.py, replicate: second}\n")
    assert load(place, text).arm("baseline").name == "baseline"
    with pytest.raises(ConfigError, match="would mean two things"):
        load(place, text + AGAINST)
