"""``statistics:``: what arrives, and what is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config.load import load_comparison
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
