"""What pictures are made of: which cells, which marks, which arms, and captions whose numbers are the contrasts'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.report.figures import theme
from bench.report.figures.costs import on_the_front, quality_against_cost
from bench.report.figures.curves import earlier_curves
from bench.report.figures.forest import forest
from bench.report.figures.matrix import win_rate_matrix
from bench.report.figures.seeds import seed_spread
from bench.report.figures.tokens import MOST_EACH_WAY, token_shifts
from bench.report.page.inline_svg import inline_svg
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.conclusions.contrast import Contrast
from bench.results.summary import SUMMARY, RunSummary, ShiftFacts, TokenFacts
from bench.results.wording import estimate
from tests.report.summaries import stage, with_stages
from tests.report.synthetic import ARMS, SEEDS, build


@pytest.fixture(scope="module")
def wins(tmp_path_factory: pytest.TempPathFactory) -> list[Contrast]:
    folder = tmp_path_factory.mktemp("plots")
    build(folder)
    return [item for item in CONCLUSIONS.read(folder).contrasts if item.metric == "win_rate"]


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> RunSummary:
    folder = tmp_path_factory.mktemp("facts")
    build(folder)
    return SUMMARY.read(folder)


def texts(figure: Any) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures as they were when they were saved."""
    figures: list[Any] = []
    monkeypatch.setattr(theme, "save", lambda figure, folder, name: figures.append(figure))
    return figures


def test_colours_and_markers_tell_forty_arms_apart() -> None:
    looks = {(theme.colour(place), theme.marker(place)) for place in range(40)}
    assert len(looks) == 40


@pytest.mark.parametrize(
    ("quality", "cost", "front"),
    [
        ({"a": 0.5, "b": 0.6, "c": 0.4}, {"a": 1.0, "b": 2.0, "c": 3.0}, ["a", "b"]),
        ({"a": 0.5, "b": 0.6}, {"a": 1.0, "b": 1.0}, ["b"]),
        ({"a": 0.5, "b": 0.5}, {"a": 2.0, "b": 1.0}, ["b"]),
        ({"a": 0.1, "b": 0.2, "c": 0.3}, {"a": 3.0, "b": 2.0, "c": 1.0}, ["c"]),
    ],
)
def test_the_front_holds_what_nothing_is_cheaper_and_as_good_as(
    quality: dict[str, float], cost: dict[str, float], front: list[str]
) -> None:
    assert on_the_front(quality, cost) == front


def test_the_caption_names_the_front(wins: list[Contrast], facts: RunSummary, tmp_path: Path) -> None:
    picture = quality_against_cost([item for item in wins if not item.is_control], facts, tmp_path, "cost")
    assert picture is not None
    assert "estimated better than base, sft and dpo" in picture.caption


def test_a_star_of_pairs_has_no_matrix(wins: list[Contrast], tmp_path: Path) -> None:
    assert win_rate_matrix([item for item in wins if not item.is_control], ARMS, tmp_path, "matrix") is None
    assert win_rate_matrix([], ARMS, tmp_path, "matrix") is None


def test_every_pair_stands_twice_and_a_star_marks_what_is_decided(wins: list[Contrast], drawn: list[Any]) -> None:
    pairs = [*wins, wins[0].model_copy(update={"a": "base", "b": "dpo", "estimate": 0.2, "verdict": "b better"})]
    picture = win_rate_matrix(pairs, ARMS, Path("nowhere"), "matrix")
    assert picture is not None
    found = texts(drawn[0])
    assert len(found) == 2 * len(pairs)
    for item in pairs:
        assert item.estimate is not None
        star = "*" if item.verdict != "undecided" else ""
        assert f"{estimate(item)}{star}" in found
        digits = len(estimate(item).partition(".")[2])
        assert f"{1 - item.estimate:.{digits}f}{star}" in found
    decided = sum(item.verdict != "undecided" for item in pairs)
    assert f"{decided} of {len(pairs)} pairs decided" in picture.caption


def test_seeds_have_a_mark_each_and_one_seed_has_no_picture(wins: list[Contrast], drawn: list[Any]) -> None:
    picture = seed_spread(wins, ARMS, SEEDS, Path("nowhere"), "seeds")
    assert picture is not None
    marks = [line for line in drawn[0].axes[0].lines if line.get_marker() in theme.MARKERS and len(line.get_xdata())]
    values = sorted(float(line.get_xdata()[0]) for line in marks)
    assert values == sorted(value for item in wins for value in item.per_run if value is not None)
    assert {line.get_marker() for line in marks} == {theme.marker(place) for place in range(len(SEEDS))}
    single = [item.model_copy(update={"per_run": item.per_run[:1]}) for item in wins]
    assert seed_spread(single, ARMS, SEEDS[:1], Path("nowhere"), "seeds") is None


def test_length_controlled_win_rates_stand_beside_the_raw_ones(wins: list[Contrast], drawn: list[Any]) -> None:
    beside = [
        item.model_copy(update={"metric": "length_controlled_win_rate", "estimate": 0.5, "verdict": "undecided"})
        for item in wins[:2]
    ]
    picture = forest(wins, beside, Path("nowhere"), "forest")
    assert picture is not None
    raw, controlled = drawn[0].axes
    assert len(raw.texts) == 2 * len(wins)
    assert len(controlled.texts) == 2 * len(beside)
    assert raw.get_xlim() == controlled.get_xlim()
    changed = sum(item.verdict != "undecided" for item in wins[:2])
    assert f"changes {changed} verdict" in picture.caption
    forest(wins, [], Path("nowhere"), "forest")
    assert len(drawn[1].axes) == 1


@pytest.mark.parametrize(
    ("data", "titles"),
    [
        (("side (side=chosen)", "side (side=rejected)"), ["sft of arm (chosen)", "sft of arm (rejected)"]),
        (("", ""), ["sft 1 of arm", "sft 2 of arm"]),
    ],
)
def test_two_stages_of_one_kind_have_two_panels_with_two_names(
    data: tuple[str, str], titles: list[str], drawn: list[Any]
) -> None:
    log = {"step": (0.0, 1.0), "loss": (1.0, 0.5)}
    stages = {
        f"{part}{seed}": stage("train/sft", data[place], log=log) for place, part in enumerate("gb") for seed in (0, 1)
    }
    stages["last"] = stage("train/rahf", log=log)
    summary = with_stages({"0": ("g0", "b0", "last"), "1": ("g1", "b1", "last")}, stages)
    picture = earlier_curves(summary, Path("nowhere"), "earlier")
    assert picture is not None
    assert [axes.get_title(loc="left") for axes in drawn[0].axes] == titles
    assert all(title in picture.caption for title in titles)


def test_the_tokens_of_a_vocabulary_of_bytes_can_be_drawn(tmp_path: Path) -> None:
    raised = tuple(
        TokenFacts(text=chr(code), written=1, per_thousand=33.0 - code, logprob_change=0.1) for code in range(32)
    )
    one = ShiftFacts(
        arm="proxy", task="prompts", positions=9, other_choice=0.2, logprob_change=0.1, raised=raised, lowered=()
    )
    for start in range(0, len(raised), MOST_EACH_WAY):
        part = one.model_copy(update={"raised": one.raised[start : start + MOST_EACH_WAY]})
        token_shifts([part], tmp_path, "token_shifts")
        assert inline_svg(tmp_path / "token_shifts.svg", "tokens")
