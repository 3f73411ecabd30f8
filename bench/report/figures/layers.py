"""What training on representations measured per layer: how large, how uniform, and how well reproduced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.report.figures import style
from bench.report.figures.style import Picture
from bench.results.summary import RunSummary
from bench.results.wording import listed, number

LAYERS = "layers"
PANELS = (
    ("difference_norm", "norm of good minus bad"),
    ("cosine_to_mean", "cosine with the mean direction"),
    ("loss", "loss"),
)


def layer_rows(summary: RunSummary) -> dict[str, list[dict[str, float]]]:
    """Return the mean over the seeds of every layer's numbers, by arm; arms without any are left out.

    ``layer``, and of every quantity the mean, and ``low`` and ``high`` before its name for its range.
    """
    found: dict[str, list[dict[str, float]]] = {}
    for arm, facts in summary.arms.items():
        tables = [
            summary.stages[key].diagnostics[LAYERS]
            for run in facts.runs.values()
            for key in run.stages
            if isinstance(summary.stages[key].diagnostics.get(LAYERS), list)
        ]
        if tables:
            layers = sorted({int(row["layer"]) for table in tables for row in table})
            found[arm] = [_of_layer([row for t in tables for row in t if row["layer"] == layer]) for layer in layers]
    return found


def _of_layer(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    line = {"layer": float(rows[0]["layer"])}
    for quantity, _ in PANELS:
        values = [float(row[quantity]) for row in rows]
        line[quantity] = sum(values) / len(values)
        line[f"low {quantity}"], line[f"high {quantity}"] = min(values), max(values)
    return line


def representation_layers(summary: RunSummary, folder: Path, name: str) -> Picture | None:
    """Return the picture of all arms' layers, one panel per quantity; None when no arm measured any."""
    rows = layer_rows(summary)
    if not rows:
        return None
    arms = list(summary.arms)
    with style.styled():
        figure = style.new_figure(9.4, 3.0)
        for axes, (quantity, title) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
            for arm, lines in rows.items():
                place = arms.index(arm)
                at, values = [line["layer"] for line in lines], [line[quantity] for line in lines]
                ends = [[line[f"{end} {quantity}"] for line in lines] for end in ("low", "high")]
                errors = [
                    [abs(value - end) for value, end in zip(values, side, strict=True)] for side in ends
                ]  # fmt: skip
                axes.errorbar(
                    at, values, yerr=errors, color=style.colour(place), marker=style.marker(place), markersize=6,
                    capsize=3, linewidth=1.6, label=style.shortened(arm, 22),
                )  # fmt: skip
            axes.set_title(title)
            axes.set_xlabel("layer")
            low, high = axes.get_ylim()
            axes.set_ylim(min(0.0, low), max(0.0, high) * 1.08)
            axes.xaxis.get_major_locator().set_params(integer=True, nbins=6)
            axes.grid(color=style.GRID, linewidth=0.6)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
        style.save(figure, folder, name)
    told = [
        f"{arm} reads {'layers' if len(lines) > 1 else 'layer'} {listed([number(line['layer'], 0) for line in lines])}"
        for arm, lines in rows.items()
    ]
    return Picture(name, "Representations", f"{listed(told)}; bars are the range over training seeds.")
