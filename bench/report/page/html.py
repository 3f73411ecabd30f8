"""The report as one HTML page that needs nothing else: drawings are part of it, every text is escaped.

Scripts and styles come from ``web/`` and are admitted by their digest; anything else that a browser could run or load
is refused by the page's own policy. Responses travel as packed data and become text nodes, never markup.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.report.page.content import BETTER, UNDECIDED, WORSE, Block, Facts, Heading, Quote, Whisker
from bench.report.page.inline_svg import inline_svg
from bench.results.unseen import visible

if TYPE_CHECKING:
    from jinja2 import Environment

WEB = Path(__file__).parent / "web"
TEMPLATE = "page.html.j2"
SCRIPTS = ("page.js", "words.js", "samples.js")
STYLES = ("page.css", "samples.css")
MARKS = {BETTER: "up", WORSE: "down", UNDECIDED: "flat"}
WHISKER_WIDTH = 190.0
LONG_CELL = 40  # letters; a cell of more keeps some width on a narrow screen, and does not become a tower


@dataclass
class PageSection:
    """A part of the page with its heading, and the name by which the contents link to it."""

    title: str
    slug: str
    blocks: list[Block] = field(default_factory=list)


def render_html(title: str, blocks: Sequence[Block], plots: Path) -> str:
    """Return the page; ``plots`` is the folder with the SVG file of every figure."""
    environment = _environment(plots)
    opening, sections = in_sections(blocks)
    style = "".join((WEB / name).read_text(encoding="utf-8") for name in STYLES)
    script = "".join((WEB / name).read_text(encoding="utf-8") for name in SCRIPTS)
    page = environment.get_template(TEMPLATE).render(
        title=title, opening=opening, sections=sections, style=style, script=script, policy=policy(style, script)
    )
    return page + "\n"


def _environment(plots: Path) -> Environment:
    """Return the templates' environment: strict, escaping, and with what the templates call."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - only where a page is written
    from markupsafe import Markup  # noqa: PLC0415 - as above

    def finished(value: Any) -> Any:
        return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = Environment(
        loader=FileSystemLoader(WEB),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finished,
    )
    environment.globals |= {
        "drawing": lambda picture: Markup(inline_svg(plots / f"{picture.name}.svg", picture.title)),  # noqa: S704
        "verbatim": lambda text: Markup(text),  # noqa: S704 - files of web/, and base64
        "kind": lambda block: type(block).__name__,
        "mark": lambda cell: MARKS.get(cell[:1], ""),
        "long": lambda cell: len(cell) > LONG_CELL,
        "whisker": whisker_places,
    }
    return environment


def policy(style: str, script: str) -> str:
    """Return a content security policy that admits this style sheet, this script, and nothing from anywhere.

    Pictures are those that a drawing holds itself (``data:``).
    """

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; img-src data:; style-src {digest(style)}; script-src {digest(script)}; base-uri 'none'; "
        "form-action 'none'"
    )


def in_sections(blocks: Sequence[Block]) -> tuple[list[Block], list[PageSection]]:
    """Return the blocks before the first section, and the sections, which begin at the headings of level 2."""
    opening: list[Block] = []
    sections: list[PageSection] = []
    for block in blocks:
        match block:
            case Heading(2, text):
                sections.append(PageSection(text, slug(text, [section.slug for section in sections])))
            case Heading(1, _) | Quote() | Facts() if not sections:
                opening.append(block)
            case _:
                (sections[-1].blocks if sections else opening).append(block)
    return opening, sections


def slug(text: str, taken: Sequence[str]) -> str:
    """Return a name for a section that no other has."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "section"
    wanted, count = name, 1
    while name in taken:
        count += 1
        name = f"{wanted}-{count}"
    return name


def whisker_places(whisker: Whisker, scale: tuple[float, float]) -> dict[str, str]:
    """Return where an interval, its estimate and the null value stand on an axis of WHISKER_WIDTH, with margins."""
    lowest, highest = scale
    margin = 8.0
    per_unit = (WHISKER_WIDTH - 2 * margin) / ((highest - lowest) or 1.0)
    places = {name: margin + (getattr(whisker, name) - lowest) * per_unit for name in ("low", "high", "estimate")}
    places["null"] = margin + (whisker.null - lowest) * per_unit
    return {name: f"{place:.1f}" for name, place in places.items()}
