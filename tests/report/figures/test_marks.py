"""Marks that need inputs of their own; every picture's marks are compared in ``test_every_picture``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.core.errors import DataError
from bench.report.facts.costs import mean_cost
from bench.report.facts.frontier import root_of_mean
from bench.report.figures import theme
from bench.report.figures.costs import cost_axis, quality_against_cost
from bench.report.figures.ranking import ranking
from bench.report.page.inline_svg import NO_SHAPES, SVG, inline_svg
from bench.results.conclusions.all import CONCLUSIONS, Conclusions
from bench.results.conclusions.contrast import primary_of
from bench.results.conclusions.ranking import RankedMethod, Ranking
from bench.results.summary import SUMMARY, RunSummary
from tests.report.synthetic import build


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Conclusions, RunSummary]:
    folder = tmp_path_factory.mktemp("marks")
    build(folder)
    return CONCLUSIONS.read(folder), SUMMARY.read(folder)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    figures: list[Any] = []
    monkeypatch.setattr(theme, "save", lambda figure, folder, name: figures.append(figure))
    return figures


def test_quality_stands_over_its_cost_where_both_are_and_names_its_judge(
    run: tuple[Conclusions, RunSummary], drawn: list[Any], tmp_path: Path
) -> None:
    lead = tuple(item for item in primary_of(run[0].contrasts) if not item.is_control)
    picture = quality_against_cost(lead, run[1], tmp_path, "cost")
    assert picture is not None and "by the gold judge" in picture.caption
    axes = drawn[0].axes[0]
    costs = {arm: mean_cost(run[1], arm, cost_axis(run[1])) for arm in run[1].arms}
    assert costs["dpo"] == costs["dpo_again"], "two arms of one cost: neither may be moved aside"
    shown = {(float(held.lines[0].get_xdata()[0]), float(held.lines[0].get_ydata()[0])) for held in axes.containers}
    wanted = {(costs[item.a], item.estimate) for item in lead if item.b == "sft"} | {(costs["sft"], 0.5)}
    assert shown == wanted
    assert "by the gold judge" in axes.get_ylabel()


def ranked(groups: int) -> Ranking:
    names = [f"m{place}" for place in range(groups + 1)]
    places = tuple(
        RankedMethod(name=name, strength=-0.1 * at, standard_error=0.15, low=-0.1 * at - 0.3, high=-0.1 * at + 0.3,
                     rank_low=1, rank_high=len(names), models_low=1, models_high=len(names))
        for at, name in enumerate(names)
    )  # fmt: skip
    pairs = tuple(zip(names, names[1:], strict=False))
    return Ranking(
        task="t", judge="gold", anchor="m0", ties="half wins", n_judgements=54, level=0.95, places=places,
        groups=pairs, models_groups=pairs, n_prompts=9, n_runs=3, n_missing=0,
        speaks_about="the training procedure", tie_strength=None,
    )  # fmt: skip


@pytest.mark.parametrize("groups", [1, 6])
def test_every_tie_line_of_a_ranking_is_within_the_picture(groups: int, tmp_path: Path, drawn: list[Any]) -> None:
    with theme.styled():
        ranking([ranked(groups)], tmp_path, "ranking")
        (figure,) = drawn
        figure.canvas.draw()
    beside = figure.axes[1]
    assert [len(line.get_ydata()) for line in beside.lines] == [2] * groups
    edge = figure.bbox
    for line in beside.lines:
        box = line.get_window_extent()
        assert edge.x0 <= box.x0 and box.x1 <= edge.x1 and edge.y0 <= box.y0 and box.y1 <= edge.y1
        assert beside.bbox.x0 <= box.x0 and box.x1 <= beside.bbox.x1
    assert beside.get_ylim() == figure.axes[0].get_ylim()


def test_an_arm_stands_at_the_root_of_its_mean_divergence() -> None:
    assert root_of_mean([49.0, 100.0]) == pytest.approx(74.5**0.5)
    assert root_of_mean([-0.1, 0.05]) == 0.0


def shapes(text: str) -> list[str]:
    """Return the names of the elements of a drawing that are shapes, sorted."""

    def within(element: ElementTree.Element) -> list[str]:
        name = str(element.tag).removeprefix(SVG)
        return [] if name in NO_SHAPES else [name, *(deeper for one in element for deeper in within(one))]

    return sorted(within(ElementTree.fromstring(text)))


def test_hatched_bars_and_points_drawn_as_one_picture_reach_the_page(tmp_path: Path) -> None:
    with theme.styled():
        figure = theme.new_figure(3, 2)
        axes = figure.subplots()
        axes.barh([0, 1], [1, 2], hatch=theme.hatch(len(theme.PALETTE)), color="#123456")
        axes.plot([0.5, 1.5], [0, 1], ".", rasterized=True)
        theme.save(figure, tmp_path, "one")
    path = tmp_path / "one.svg"
    page = inline_svg(path, "title")
    assert shapes(page) == shapes(path.read_text(encoding="utf-8"))
    assert "pattern" in shapes(page) and "image" in shapes(page)
    pattern = re.search(r'<pattern[^>]* id="(one-[^"]*)"', page)
    assert pattern is not None and f'fill="url(#{pattern.group(1)})"' in page and "patternUnits=" in page
    assert 'href="data:image/png;base64,' in page


def test_a_shape_that_the_page_does_not_know_is_an_error_and_no_picture_comes_from_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "one.svg"
    head = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    path.write_text(f"{head}<linearGradient/></svg>", encoding="utf-8")
    with pytest.raises(DataError, match="would lose its <linearGradient>"):
        inline_svg(path, "title")
    for href in ("http://a/b.png", "data:image/svg+xml;base64,AA", "javascript:x()"):
        path.write_text(f'{head}<image xlink:href="{href}"/></svg>', encoding="utf-8")
        assert href not in inline_svg(path, "title")
