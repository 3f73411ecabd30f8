"""A picture's SVG file as part of a page: cleaned, its ids unique, its colours open to the page's theme.

An ``img`` can neither follow a theme toggle nor be read out. So the drawing goes into the page itself, reduced to
shapes: no scripts, styles, comments or links, whatever the file holds. A shape, a look or a style sheet that is not
known here is an error, so that nothing of a drawing is lost on the way.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from bench.core.errors import DataError

SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"
SHAPES = frozenset(
    {
        *("svg", "g", "defs", "path", "rect", "circle", "use", "clipPath", "line", "polygon", "polyline"),
        *("pattern", "image"),  # hatched areas, and thousands of points as one picture
    }
)
# What is no shape: it is left out with all that is in it.
NO_SHAPES = frozenset({"metadata", "style", "script", "title", "desc"})
LINK = "a"  # what is in a link is drawn, and leads nowhere
# What matplotlib says for all elements; on the page the drawing as a whole says it.
STYLE_SHEET = "*{stroke-linejoin: round; stroke-linecap: butt}"
PNG = "data:image/png;base64,"  # the one picture that a drawing may hold; the page's policy admits no other source
KEPT = frozenset(
    {
        *("id", "d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "points"),
        *("viewBox", "transform", "clip-path", "clip-rule", "opacity", "patternUnits", "preserveAspectRatio"),
        *("display", "visibility", "color", "image-rendering", "paint-order", "shape-rendering", "overflow"),
        *("fill", "fill-opacity", "fill-rule", "stroke", "stroke-opacity", "stroke-width", "stroke-miterlimit"),
        *("stroke-dasharray", "stroke-dashoffset", "stroke-linecap", "stroke-linejoin"),
    }
)
# Attributes that change no look: formats, names that only a style sheet reads, and what a browser would run.
NO_LOOK = frozenset({"version", "type", "class", "behavior", HREF, "href", "target", "rel"})
HANDLER = "on"


def inline_svg(path: Path, title: str) -> str:
    """Return the drawing as markup for an HTML page, with ``title`` for those who do not see it.

    A style attribute becomes attributes of its own, so that the page's style sheet can set colours anew. The width
    stays, so that letters have one size in all drawings. Ids get the file's name before them. Raises DataError for a
    file that is no SVG, and for a shape, an attribute or a style sheet that is not known here.
    """
    try:
        root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    except ElementTree.ParseError as error:
        raise DataError(f"{path}: not an SVG file ({error}). Run `bench report` on its folder again.") from error
    drawn = _cleaned(root, path.stem)
    if drawn is None:
        raise DataError(f"{path}: not an SVG file. Run `bench report` on its folder again.")
    # What matplotlib says for all elements in a style sheet.
    drawn.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt", "role": "img", "aria-label": title}
    drawn.attrib.pop("height", None)
    return ElementTree.tostring(drawn, encoding="unicode")


def _cleaned(element: ElementTree.Element, prefix: str) -> ElementTree.Element | None:
    """Return the element without its namespace and with nothing but shapes in it, None for what is no shape."""
    name = str(element.tag).removeprefix(SVG)
    if not isinstance(element.tag, str) or name in NO_SHAPES:
        if name == "style" and "".join((element.text or "").split()) != "".join(STYLE_SHEET.split()):
            raise DataError(f"{prefix}.svg: the page would lose its style sheet. Write looks as attributes.")
        return None
    if name not in SHAPES | {LINK}:
        raise DataError(
            f"{prefix}.svg: the page would lose its <{name}>. Say in {Path(__file__).name} whether it is a shape."
        )
    given = dict(element.attrib)
    for declaration in given.pop("style", "").split(";"):
        key, _, value = declaration.partition(":")
        given[key.strip()] = value.strip()
    lost = [key for key in given if key and key not in KEPT | NO_LOOK and not key.startswith(HANDLER)]
    if lost:
        raise DataError(
            f"{prefix}.svg: the page would lose the {lost[0]!r} of its <{name}>. Say in {Path(__file__).name} whether "
            "it is a look."
        )
    kept = {key: _local(value, prefix) for key, value in given.items() if key in KEPT}
    if "id" in kept:
        kept["id"] = f"{prefix}-{given['id']}"
    target = given.get(HREF, given.get("href", ""))
    if target.startswith("#"):
        kept["href"] = f"#{prefix}-{target[1:]}"
    if name == "image" and target.startswith(PNG):
        kept["href"] = target
    found = ElementTree.Element("g" if name == LINK else name, kept)
    found.extend([child for one in element if (child := _cleaned(one, prefix)) is not None])
    return found


def _local(value: str, prefix: str) -> str:
    """Return an attribute's value: references to ids renamed, line breaks of path data as spaces."""
    return re.sub(r"\s+", " ", re.sub(r"url\(#([^)]*)\)", rf"url(#{prefix}-\1)", value)).strip()
