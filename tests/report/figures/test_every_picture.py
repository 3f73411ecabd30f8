"""Every picture that a report makes: its marks are the data's, all within their frames, and all reach the page."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import pytest
from matplotlib.patheffects import withStroke

from bench.core.errors import DataError
from bench.report import figures
from bench.report.figures import draw, theme
from bench.report.figures.draw import PICTURES
from bench.report.inputs import Inputs
from bench.report.page.content import Picture
from bench.report.page.inline_svg import HREF, LINK, NO_LOOK, NO_SHAPES, SVG, inline_svg
from tests.report.figures import whole_runs
from tests.report.figures.expected_learning import LEARNING, token_shifts
from tests.report.figures.expected_results import RESULTS

OF_RESULTS = {**RESULTS, "token_shifts": token_shifts}
CHECKS = OF_RESULTS | LEARNING
# Files of the room that make no picture.
NO_PICTURE = {"__init__", "draw", "theme"}
# The points of which 2% may lie beyond the frame, which the caption counts.
BEYOND = {"length_effect"}
SLACK = 1.0  # pixels


class Drawn:
    """A picture, the figure it was saved from, and the folder that it is in."""

    def __init__(self, name: str, of: Inputs, folder: Path) -> None:
        self.figures: list[Any] = []
        save = theme.save

        def kept(figure: Any, where: Path, called: str) -> None:
            save(figure, where, called)
            self.figures.append(figure)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(theme, "save", kept)
            patch.setattr(theme, "PNG_DPI", 40)
            found = PICTURES[name](of, folder, name)
        assert found is not None, f"{name} is not drawn of its run"
        self.picture: Picture = found
        (self.figure,) = self.figures
        self.of, self.path = of, folder / f"{name}.svg"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Drawn]:
    """Draw a picture of the run that has what it shows, once."""
    folder = tmp_path_factory.mktemp("plots")

    @cache
    def run(of_results: bool) -> Inputs:
        into = tmp_path_factory.mktemp("run")
        return whole_runs.everything_else(into) if of_results else whole_runs.learning(into)

    @cache
    def one(name: str) -> Drawn:
        return Drawn(name, run(name in OF_RESULTS), folder)

    return one


def test_every_picture_is_compared_with_its_data() -> None:
    assert set(CHECKS) == set(PICTURES)
    files = {path.stem for path in Path(figures.__path__[0]).glob("*.py")} - NO_PICTURE
    imported = {getattr(value, "__module__", "").rpartition(".")[2] for value in vars(draw).values()}
    assert files <= imported, "a file of the room whose picture is not among PICTURES"


def test_every_picture_is_explained() -> None:
    text = (Path(__file__).parents[3] / "docs" / "report_figures.md").read_text(encoding="utf-8")
    assert [name for name in PICTURES if f"`{name}`" not in text] == []


@pytest.mark.parametrize("name", list(CHECKS))
def test_every_mark_is_the_datas_and_no_other_is_drawn(name: str, drawn: Callable[[str], Drawn]) -> None:
    panels = list(CHECKS[name](drawn(name).figure, drawn(name).of))
    assert panels
    for found, wanted in panels:
        assert wanted, "a panel without a mark"
        assert found - wanted == wanted - found, f"{name}: what is drawn is not what is known"


@pytest.mark.parametrize("name", list(CHECKS))
def test_no_mark_and_no_word_is_cut_off(name: str, drawn: Callable[[str], Drawn]) -> None:
    figure = drawn(name).figure
    with theme.styled():
        figure.canvas.draw()
        edge = figure.bbox.padded(SLACK)
        for axes in figure.axes:
            frame = axes.bbox.padded(SLACK)
            lines = [line for line in axes.lines if line.get_transform() == axes.transData and len(line.get_xdata())]
            for line in [line for line in lines if not (name in BEYOND and line.get_rasterized())]:
                inside = [frame.contains(*at) for at in axes.transData.transform(line.get_xydata())]
                assert all(inside), f"{name}: {inside.count(False)} points of a line beyond its frame"
            words = [*axes.texts, axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title]
            words += [word for axis in (axes.xaxis, axes.yaxis) if axes.axison for word in ticks_of(axis)]
            for text in [text for text in words if text.get_visible() and text.get_text() and axes.get_visible()]:
                box = text.get_window_extent()
                cut = not (edge.x0 <= box.x0 and box.x1 <= edge.x1 and edge.y0 <= box.y0 and box.y1 <= edge.y1)
                assert not cut, f"{name}: {text.get_text()!r} is cut off by the edge of the picture"


def ticks_of(axis: Any) -> list[Any]:
    """The labels of the ticks that are drawn: matplotlib keeps some beyond the frame."""
    low, high = sorted(axis.get_view_interval())
    labels = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=False)  # shared axes have none but the first
    return [label for at, label in labels if low <= at <= high]


def declared(element: ElementTree.Element) -> dict[str, str]:
    """The attributes of an element, those of its style among them, without what changes no look."""
    found = {key: value for key, value in element.attrib.items() if key not in NO_LOOK - {HREF, "href"}}
    for part in found.pop("style", "").split(";"):
        if part.strip():
            found[part.partition(":")[0].strip()] = part.partition(":")[2]
    return {key.removeprefix("{http://www.w3.org/1999/xlink}"): "".join(value.split()) for key, value in found.items()}


def lost(before: ElementTree.Element, after: ElementTree.Element, prefix: str) -> list[str]:
    """What of a drawing is not on the page: elements and attributes, by walking both side by side."""
    found = []
    there = {key: "".join(value.split()).replace(f"#{prefix}-", "#") for key, value in after.attrib.items()}
    link = str(before.tag) == SVG + LINK
    for key, value in ({} if link else declared(before)).items():
        said = there.get(key, "").removeprefix(f"{prefix}-") if key == "id" else there.get(key)
        if said != value:
            found.append(f"{before.tag} {key}={value!r}")
    shapes = [one for one in before if str(one.tag).removeprefix(SVG) not in NO_SHAPES]
    found += [str(one.tag) for one in shapes[len(after) :]]
    for one, other in zip(shapes, after, strict=False):
        name = str(one.tag).removeprefix(SVG)
        if other.tag != ("g" if name == LINK else name):
            found.append(name)
        found += lost(one, other, prefix)
    return found


@pytest.mark.parametrize("name", list(CHECKS))
def test_nothing_of_a_drawing_is_lost_on_the_way_to_the_page(name: str, drawn: Callable[[str], Drawn]) -> None:
    path = drawn(name).path
    before = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    after = ElementTree.fromstring(inline_svg(path, "title"))
    assert lost(before, after, path.stem) == [f"{SVG}svg height={before.get('height')!r}"], "the width says the height"


EXOTIC: dict[str, Callable[[Any], Any]] = {
    "hatch": lambda axes: axes.barh([0, 1], [1, 2], hatch="////"),
    "rasterized points": lambda axes: axes.plot([0, 1], [0, 1], ".", rasterized=True),
    "picture": lambda axes: axes.imshow([[0, 1], [1, 0]]),
    "smooth picture": lambda axes: axes.imshow([[0, 1], [1, 0]], interpolation="bilinear"),
    "colour bar": lambda axes: axes.figure.colorbar(axes.imshow([[0, 1], [1, 0]])),
    "link": lambda axes: axes.scatter([0, 1], [0, 1]).set_urls(["http://a/b", "http://a/c"]),
    "link around text": lambda axes: axes.text(0.5, 0.5, "words", url="http://a/b"),
    "gradient": lambda axes: axes.pcolormesh([[0, 1], [1, 0]], shading="gouraud"),
    "quivers": lambda axes: axes.quiver([0, 1], [0, 1], [1, 1], [0, 1]),
    "clipped patch": lambda axes: axes.fill_between([0, 1], [0, 1]).set_clip_path(axes.patch),
    "formula": lambda axes: axes.set_title(r"$\sqrt{\frac{a}{b}}$", parse_math=True),
    "contours": lambda axes: axes.contourf([[0, 1], [1, 0]], hatches=["//", None, "."]),
    "stroke": lambda axes: axes.text(0, 0, "x", path_effects=[withStroke(linewidth=3, foreground="w")]),
}


@pytest.mark.parametrize("kind", list(EXOTIC))
@pytest.mark.parametrize("fonttype", ["path", "none"])
def test_whatever_matplotlib_draws_reaches_the_page_or_is_an_error(kind: str, fonttype: str, tmp_path: Path) -> None:
    with theme.styled():
        matplotlib.rcParams["svg.fonttype"] = fonttype
        figure = theme.new_figure(3, 2)
        EXOTIC[kind](figure.subplots())
        figure.savefig(tmp_path / "one.svg")
    before = ElementTree.fromstring((tmp_path / "one.svg").read_text(encoding="utf-8"))
    words = fonttype == "none"  # letters as text have a font, which the page does not
    if words or kind == "gradient":
        with pytest.raises(DataError, match="would lose"):
            inline_svg(tmp_path / "one.svg", "title")
        return
    after = ElementTree.fromstring(inline_svg(tmp_path / "one.svg", "title"))
    assert [part for part in lost(before, after, "one") if not part.startswith(f"{SVG}svg height=")] == []


@pytest.mark.parametrize(
    "inside",
    [
        '<rect filter="url(#a)"/>', '<rect mask="url(#a)"/>', '<path d="M 0 0" marker-end="url(#a)"/>',
        '<rect style="fill: red; mix-blend-mode: multiply"/>', "<text>a<tspan>b</tspan></text>", "<ellipse/>",
        "<style>.a{fill: red}</style>", "<foreignObject/>", "<marker/>", "<mask/>", "<filter/>", "<symbol/>",
        "<radialGradient/>",
    ],
)  # fmt: skip
def test_what_the_page_does_not_know_is_an_error(inside: str, tmp_path: Path) -> None:
    path = tmp_path / "one.svg"
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg"><g>{inside}</g></svg>', encoding="utf-8")
    with pytest.raises(DataError, match=r"one\.svg: the page would lose"):
        inline_svg(path, "title")
