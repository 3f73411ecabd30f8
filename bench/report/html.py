"""The report as one HTML page that needs nothing else: pictures are embedded, every text is escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from bench.report.page import Block

TEMPLATE = "page.html.j2"


def render_html(title: str, blocks: Sequence[Block], plots: Path) -> str:
    """Return the page; ``plots`` is the folder with the SVG file of every figure."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - only where a page is written

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def embedded(name: str) -> str:
        data = base64.b64encode((plots / f"{name}.svg").read_bytes()).decode("ascii")
        return f"data:image/svg+xml;base64,{data}"

    kinds = [(type(block).__name__, block) for block in blocks]
    return environment.get_template(TEMPLATE).render(title=title, blocks=kinds, embedded=embedded) + "\n"
