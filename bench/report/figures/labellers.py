"""How well labellers of different sizes and with different prompts agree with the labels of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.report.facts.labellers import labeller_name, variant
from bench.report.figures import theme
from bench.report.page.content import Picture
from bench.results.conclusions.all import LabellerAgreement, Proportion
from bench.results.summary import RunSummary
from bench.results.wording import amount, counted, listed, percent, shortened


def labeller_sizes(
    labellers: Sequence[LabellerAgreement], summary: RunSummary, folder: Path, name: str
) -> Picture | None:  # fmt: skip
    """Return the picture of agreement over the labeller's parameters, one line per variant; None without sizes."""
    facts = {(item.judge, item.run): item for item in summary.labellers}
    shown = [(item, facts[item.judge, item.run]) for item in labellers if (item.judge, item.run) in facts]
    shown = [(item, known) for item, known in shown if known.parameters and item.labels.share is not None]
    if not shown:
        return None
    against_gold = any(item.gold is not None and item.gold.share is not None for item, _ in shown)
    variants = list(dict.fromkeys(variant(known, summary.labellers) for _, known in shown))
    sides = [("with the labels of the data", "labels")] + [("with gold utilities", "gold")] * against_gold
    with theme.styled():
        figure = theme.new_figure(1.2 + 4.4 * len(sides), 3.8)
        for axes, (title, side) in zip(figure.subplots(1, len(sides), squeeze=False)[0], sides, strict=True):
            lines: dict[str, list[tuple[float, Proportion]]] = {}
            for item, known in shown:
                found: Proportion | None = getattr(item, side)
                if found is not None and found.share is not None:
                    at = (known.parameters or 1.0, found)
                    lines.setdefault(variant(known, summary.labellers), []).append(at)
            for label, points in lines.items():
                _line(axes, sorted(points, key=lambda point: point[0]), (variants.index(label), label))
            axes.axhline(0.5, color=theme.INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _place: amount(value))
            axes.xaxis.set_minor_formatter(lambda _value, _place: "")
            axes.set_title(f"Agreement {title}")
            axes.set_xlabel("parameters of the labeller")
            axes.set_ylabel("share of pairs")
            axes.grid(color=theme.GRID, linewidth=0.6)
            axes.margins(x=0.12)
        entries = theme.legend_entries(figure.axes)
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=4)
        theme.save(figure, folder, name)
    agreements = listed([f"{labeller_name(item.judge, item.run)} {percent(item.labels.share)}" for item, _ in shown])
    without = len(labellers) - len(shown)
    hidden = f"; {counted(without, 'labeller')} without a known size or a usable label not drawn" if without else ""
    caption = (
        f"Agreement with the labels of the data: {agreements}; bars are Wilson's intervals, dashed is chance{hidden}."
    )
    return Picture(name, "Agreement over the size of the labeller", caption)


def _line(axes: Any, points: Sequence[tuple[float, Proportion]], look: tuple[int, str]) -> None:
    place, label = look
    at = [x for x, _ in points]
    proportions = [found.share or 0.0 for _, found in points]
    below = [share - (found.low or 0.0) for share, (_, found) in zip(proportions, points, strict=True)]
    above = [(found.high or 0.0) - share for share, (_, found) in zip(proportions, points, strict=True)]
    settings: dict[str, Any] = {
        "color": theme.colour(place), "marker": theme.marker(place), "markersize": 7, "capsize": 3, "linewidth": 1.8,
        "label": shortened(label, 30),
    }  # fmt: skip
    axes.errorbar(at, proportions, yerr=[below, above], **settings)
