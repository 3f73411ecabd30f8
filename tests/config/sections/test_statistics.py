"""``statistics:`` and ``evaluate.tax``: what arrives, and what is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config.comparison import AlignmentTax, Arm, Comparison
from bench.config.load import load_comparison
from bench.config.sections.tax import default_tax
from bench.core.errors import ConfigError
from tests.config.conftest import RIGHT

SECTION = "statistics:\n  level: 0.9\n  correction: holm\n"


def loaded(folder: Path, lines: str, seeds: str = "[0, 1]") -> object:
    assert SECTION in RIGHT
    text = RIGHT.replace(SECTION, f"statistics:\n{lines}").replace("seeds: [0, 1]", f"seeds: {seeds}")
    (folder / "comparison.yaml").write_text(text, encoding="utf-8")
    return load_comparison(folder).statistics


def test_settings_arrive(place: Path) -> None:
    found = loaded(place, "  correction: max_t\n  interval: bca\n  detect: 0.05\n", seeds="[3]")
    assert (found.correction, found.interval, found.detect) == ("max_t", "bca", 0.05)  # type: ignore[attr-defined]
    plain = loaded(place, "  level: 0.9\n")
    assert (plain.correction, plain.interval, plain.detect) == ("holm", "t", None)  # type: ignore[attr-defined]


@pytest.mark.parametrize("interval", ["bootstrap", "bca"])
def test_a_bootstrap_over_prompts_is_refused_with_several_seeds(place: Path, interval: str) -> None:
    with pytest.raises(ConfigError, match="knows nothing of other training seeds") as caught:
        loaded(place, f"  interval: {interval}\n")
    assert "statistics.interval" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("  correction: maxt\n", "Did you mean 'max_t'?"),
        ("  interval: bcaa\n", "Did you mean 'bca'?"),
        ("  detect: 0\n", "greater than 0"),
        ("  detct: 0.1\n", "Did you mean 'detect'?"),
    ],
)
def test_what_is_wrong_is_told(place: Path, line: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(place, line)
    assert told in str(caught.value)


BENCHMARK = "    - {lm_eval: atlas_facts}\n"
TASKS = "  tasks:\n    - ./task.py\n"


def evaluated(folder: Path, tax: str, benchmark: str = BENCHMARK, arm: str = "floor") -> Comparison:
    text = RIGHT.replace(TASKS, f"{tax}{TASKS}{benchmark}").replace("floor", arm).replace(f"./{arm}.py", "./floor.py")
    (folder / "comparison.yaml").write_text(text, encoding="utf-8")
    return load_comparison(folder)


def test_the_tax_is_asked_for_or_follows_from_benchmarks_and_an_arm_called_sft(place: Path) -> None:
    asked = evaluated(place, "  tax: {versus: tuned, margin: 0.01}\n").evaluation.tax
    assert asked == AlignmentTax(versus="tuned", margin=0.01)
    assert evaluated(place, "").evaluation.tax is None
    assert evaluated(place, "", arm="sft").evaluation.tax == AlignmentTax(versus="sft", margin=0.02)
    assert evaluated(place, "  tax: none\n", arm="sft").evaluation.tax is None
    assert evaluated(place, "", benchmark="", arm="sft").evaluation.tax is None


def test_the_method_of_methods_sft_will_do_under_any_name(place: Path) -> None:
    from methods.sft import SFT

    arms = (Arm(name="floor", method=evaluated(place, "").arm("floor").method, lora=None),)
    assert default_tax(arms) is None
    assert default_tax((*arms, Arm(name="start", method=SFT(), lora=None))) == AlignmentTax(versus="start")


@pytest.mark.parametrize(
    ("tax", "benchmark", "told"),
    [
        ("{versus: tunde}", BENCHMARK, "Did you mean 'tuned'?"),
        ("{margin: 0.1}", BENCHMARK, "evaluate.tax.versus"),
        ("{versus: tuned, margin: 0}", BENCHMARK, "greater than 0"),
        ("{versus: tuned, margn: 0.1}", BENCHMARK, "Did you mean 'margin'?"),
        ("tuned", BENCHMARK, "must be a mapping"),
        ("{versus: tuned}", "", "no alignment tax without a task of lm-eval"),
    ],
)
def test_a_wrong_tax_is_told(place: Path, tax: str, benchmark: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        evaluated(place, f"  tax: {tax}\n", benchmark)
    assert told in str(caught.value)
