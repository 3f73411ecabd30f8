"""``statistics.test: betting``: refused in one line where the primary metric has no bounds, and beside max-T."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config.load import load_comparison
from bench.core.errors import ConfigError
from tests.config.conftest import RIGHT


def with_betting(place: Path, more: str = "") -> str:
    text = RIGHT.replace("level: 0.9", f"level: 0.9\n  test: betting{more}")
    text = text.replace("seeds: [0, 1]", "seeds: [0]")
    assert "seeds: [0]" in text
    (place / "comparison.yaml").write_text(text, encoding="utf-8")
    try:
        load_comparison(place / "comparison.yaml")
    except ConfigError as error:
        return str(error)
    return ""


def test_betting_is_read_with_one_seed_and_a_metric_with_bounds(place: Path) -> None:
    assert with_betting(place) == ""
    assert with_betting(place, "\n  primary: {metric: ended}") == ""


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("\n  primary: {metric: response_tokens}", "primary metric 'response_tokens' declares none"),
        ("\n  interval: bca", "has its own interval"),
    ],
)
def test_betting_is_refused_where_there_is_none(place: Path, more: str, told: str) -> None:
    assert told in with_betting(place, more)
