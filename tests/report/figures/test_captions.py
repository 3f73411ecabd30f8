"""Captions say what is drawn, and tell what is not: single seeds, cut points, left-out lines, chosen judges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bench.report.figures import theme
from bench.report.figures.draw import PICTURES
from bench.report.inputs import Inputs
from bench.report.page.content import Picture
from bench.results.wording import intervals_of
from tests.report.figures import whole_runs


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return whole_runs.everything_else(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def learning(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return whole_runs.learning(tmp_path_factory.mktemp("learning"))


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures as they were when they were saved, which nobody waits for here."""
    kept: list[Any] = []
    monkeypatch.setattr(theme, "save", lambda figure, folder, name: kept.append(figure))
    return kept


def picture(name: str, of: Inputs) -> Picture:
    found = PICTURES[name](of, Path("nowhere"), name)
    assert found is not None
    return found


def concluding(of: Inputs, **parts: Any) -> Inputs:
    return replace(of, conclusions=of.conclusions.model_copy(update=parts))


def of_one_seed(of: Inputs) -> Inputs:
    arms = {name: facts.model_copy(update={"runs": {"0": facts.runs["0"]}}) for name, facts in of.summary.arms.items()}
    return replace(of, summary=of.summary.model_copy(update={"seeds": (0,), "arms": arms}))


@pytest.mark.parametrize("name", ["learning_curves", "earlier_stages", "updates"])
def test_curves_of_one_seed_have_no_band_and_claim_none(name: str, learning: Inputs, figures: list[Any]) -> None:
    caption = picture(name, of_one_seed(learning)).caption
    assert "of one training seed" in caption and "band" not in caption and "mean" not in caption
    assert not any(axes.collections for axes in figures[0].axes)


def test_intervals_are_called_what_they_are(results: Inputs) -> None:
    adjusted = [item for item in results.conclusions.contrasts if item.adjusted_low is not None]
    single = [item for item in results.conclusions.contrasts if item.adjusted_low is None]
    assert intervals_of(adjusted) == "adjusted 95% intervals"
    assert intervals_of(single) == "95% intervals, not adjusted"
    assert intervals_of([*adjusted, single[0]]) == "adjusted 95% intervals (1 not adjusted)"


@pytest.mark.parametrize("name", ["forest", "quality_and_cost", "length_control"])
def test_pictures_of_contrasts_draw_and_name_the_intervals_of_the_tables(
    name: str, results: Inputs, figures: list[Any]
) -> None:
    assert "adjusted 95% intervals" in picture(name, results).caption


def test_a_contrast_without_an_interval_is_counted(results: Inputs, figures: list[Any]) -> None:
    first, *others = results.conclusions.contrasts
    lead = next(item for item in others if item.role == "primary")
    none = {"low": None, "high": None, "adjusted_low": None, "adjusted_high": None}
    contrasts = (first, *(item.model_copy(update=none) if item is lead else item for item in others))
    assert (
        "1 contrast without an interval not drawn"
        in picture("forest", concluding(results, contrasts=contrasts)).caption
    )
    assert "not drawn" not in picture("forest", results).caption


def test_empty_cells_of_the_matrix_are_not_called_undeclared(results: Inputs, figures: list[Any]) -> None:
    assert "or A/A controls" in picture("win_rate_matrix", results).caption


def test_length_is_shown_of_the_primary_judge_first_and_what_is_cut_is_counted(
    results: Inputs, figures: list[Any]
) -> None:
    found = picture("length_effect", results)
    assert found.title == "Preference over length, gold and biased judges"
    there = [axes for axes in figures[0].axes if axes.get_visible()]
    points = [np.concatenate([line.get_xdata() for line in axes.lines if line.get_rasterized()]) for axes in there]
    reach = there[0].get_xlim()[1]
    beyond = sum(int((np.abs(some) > reach).sum()) for some in points)
    assert beyond and f"{beyond} pairs differing by more than {reach:.0f} characters beyond the frame" in found.caption
    without = [item.model_copy(update={"also": {}}) for item in results.conclusions.contrasts]
    assert "regression" not in picture("length_effect", concluding(results, contrasts=tuple(without))).caption


def test_a_ranking_of_one_seed_has_no_brackets_and_claims_none(results: Inputs, figures: list[Any]) -> None:
    (item,) = results.conclusions.rankings
    assert "in brackets" in picture("ranking", results).caption
    one = concluding(results, rankings=(item.model_copy(update={"n_runs": 1}),))
    assert "bracket" not in picture("ranking", one).caption
    assert not any("(" in text.get_text() for text in figures[1].axes[0].texts)


def test_claimless_arms_and_further_tokens_are_told(results: Inputs, figures: list[Any]) -> None:
    assert "1 arm on a task without any claim not drawn" in picture("factuality", results).caption
    many = results.summary.model_copy(update={"shifts": results.summary.shifts * 4})
    assert (
        "2 more pairs of a policy and a task not drawn"
        in picture("token_shifts", replace(results, summary=many)).caption
    )


def test_a_way_of_asking_has_one_colour_in_both_panels_and_is_in_the_legend(
    learning: Inputs, figures: list[Any]
) -> None:
    found = learning.conclusions.labellers
    without = tuple(item.model_copy(update={"gold": None}) if "none" in item.judge else item for item in found)
    picture("labellers", concluding(learning, labellers=without))
    (figure,) = figures
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["rationale none", "rationale greedy"]
    left, right = figure.axes
    colours = {held.get_label(): held.lines[0].get_color() for held in left.containers}
    assert {held.get_label(): held.lines[0].get_color() for held in right.containers} == {
        "rationale greedy": colours["rationale greedy"]
    }


def test_the_highest_arm_is_named_task_by_task_as_it_is_drawn(learning: Inputs, figures: list[Any]) -> None:
    assert " on " not in picture("frontier", learning).caption.partition("highest")[2].partition(":")[0]
    rows = learning.records
    place = rows.schema.get_field_index("task")
    other = rows.set_column(
        place, rows.schema.field("task"), pa.array(["lives"] * len(rows), rows.schema.field("task").type)
    )
    both = replace(learning, records=pa.concat_tables([rows, other]))
    caption = picture("frontier", both).caption
    assert "highest on questions" in caption and "highest on lives" in caption
    assert "training seeds and tasks" in picture("over_optimisation", both).caption
