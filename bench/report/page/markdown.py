"""The report on disk: report.md, report.html, and the pictures both show."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from bench.config.comparison import Comparison
from bench.core.errors import DataError
from bench.core.files import kind_at, replace_text
from bench.report.compose import compose
from bench.report.figures.draw import draw_all
from bench.report.inputs import read_inputs
from bench.report.page.content import (
    Block,
    Bullets,
    Facts,
    Figure,
    Folded,
    Heading,
    Quote,
    SampleBrowser,
    Table,
    Text,
    VerdictList,
)
from bench.report.page.html import render_html
from bench.report.references import as_bibtex, citations
from bench.results.unseen import visible
from bench.results.wording import counted, markdown_line
from bench.results.wording import markdown as escaped

PLOTS = "plots"


def write_report(folder: Path, comparison: Comparison, standing: tuple[str, ...] = ()) -> Path:
    """Return the path of ``report.md`` after writing it, ``report.html`` and ``plots/`` into the folder.

    ``references.bib`` beside it holds what the comparison rests on. ``standing``: what a reader must know of how the
    results stand to the comparison, a line each (``Inputs``). Reads ``records.parquet``, ``contrasts.json`` and
    ``run.json`` there, and computes nothing again: equal inputs give equal bytes. Raises DataError where one of them
    is missing, and where something else stands in the place of what is written.
    """
    refuse_occupied(folder)
    inputs = read_inputs(folder, comparison, standing)
    pictures = draw_all(inputs, folder / PLOTS)
    blocks = compose(inputs, pictures)
    html = render_html(inputs.summary.name, blocks, folder / PLOTS)
    cited = as_bibtex(citation.entry for citation in citations(comparison))
    path = folder / "report.md"
    texts = {folder / "report.html": html, path: render_markdown(blocks), folder / "references.bib": cited}
    for file, text in texts.items():
        replace_text(file, text)
    return path


def refuse_occupied(folder: Path) -> None:
    """Raise DataError where a file stands in the place of the pictures' folder, or a folder in that of a page."""
    for name, other in (
        (PLOTS, "file"),
        ("report.md", "folder"),
        ("report.html", "folder"),
        ("references.bib", "folder"),
    ):
        if kind_at(folder / name) == other:
            raise DataError(f"{folder / name}: a {other} stands where the report writes. Move it away.")


def render_markdown(blocks: Sequence[Block]) -> str:
    """Return the blocks as GitHub-flavoured Markdown."""
    return "\n\n".join(_block(block) for block in blocks) + "\n"


def _block(block: Block) -> str:  # noqa: PLR0911, C901 - one case per kind of block
    """Return one block."""
    match block:
        case Heading(level, text):
            return f"{'#' * level} {escaped(text)}"
        case Text(text):
            return markdown_line(text)
        case Quote(text):
            return f"> {markdown_line(text)}"
        case Facts(items):
            return " · ".join(f"{markdown_line(name)} **{escaped(value)}**" for name, value in items)
        case VerdictList(items):
            return "\n".join(f"- **{escaped(item.headline)}**: {escaped(item.numbers)}" for item in items)
        case Bullets(items):
            return "\n".join(f"- {markdown_line(item)}" for item in items)
        case Folded(summary, blocks):
            inside = "\n\n".join(_block(one) for one in blocks)
            return f"<details>\n<summary>{escape(visible(summary))}</summary>\n\n{inside}\n\n</details>"
        case SampleBrowser(samples):
            return (
                f"`report.html` shows {samples.shown:,} of {counted(samples.of, 'prompt')} with every response side by "
                "side, to be searched and filtered. In a terminal `bench show` does the same."
            )
        case Table():
            return _table(block)
        case Figure(picture):
            base = f"{PLOTS}/{picture.name}"
            return f"[![{escaped(picture.title)}]({base}.png)]({base}.svg)\n\n*{escaped(picture.caption)}*"


def _table(table: Table) -> str:
    """Return a table with aligned columns."""
    rules = ["---:" if letter == "r" else "---" for letter in table.align]
    lines = [table.columns, tuple(rules)]
    body = [tuple(escaped(cell) for cell in row) for row in table.rows]
    head = tuple(escaped(title) for title in lines[0])
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, lines[1], *body))
