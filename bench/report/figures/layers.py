"""What training on representations measured per layer: how large, how uniform, and how well reproduced."""

from __future__ import annotations

from pathlib import Path

from bench.report.facts.layers import layers_of
from bench.report.figures import theme
from bench.report.page.content import Picture
from bench.results.summary import RunSummary
from bench.results.wording import listed, shortened

TITLES = {
    "difference_norm": "norm of good minus bad",
    "cosine_to_mean": "cosine with the mean direction",
    "loss": "loss",
}


def representation_layers(summary: RunSummary, folder: Path, name: str) -> Picture | None:
    """Return the picture of all arms' layers, one panel per quantity; None when no arm measured any."""
    found = layers_of(summary)
    if not found:
        return None
    arms = list(summary.arms)
    with theme.styled():
        figure = theme.new_figure(9.4, 3.0)
        for axes, (quantity, title) in zip(figure.subplots(1, len(TITLES)), TITLES.items(), strict=True):
            for arm, layers in found.items():
                place = arms.index(arm)
                at, values = [layer.number for layer in layers], [layer.measured[quantity] for layer in layers]
                errors = [[abs(one.mean - one.low) for one in values], [abs(one.mean - one.high) for one in values]]
                axes.errorbar(
                    at, [one.mean for one in values], yerr=errors, color=theme.colour(place),
                    marker=theme.marker(place), markersize=6, capsize=3, linewidth=1.6, label=shortened(arm, 22),
                )  # fmt: skip
            axes.set_title(title)
            axes.set_xlabel("layer")
            low, high = axes.get_ylim()
            axes.set_ylim(min(0.0, low), max(0.0, high) * 1.08)
            axes.xaxis.get_major_locator().set_params(integer=True, nbins=6)
            axes.grid(color=theme.GRID, linewidth=0.6)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
        theme.save(figure, folder, name)
    read = [
        f"{arm} reads {'layers' if len(layers) > 1 else 'layer'} {listed([str(layer.number) for layer in layers])}"
        for arm, layers in found.items()
    ]
    bars = "marks are means over training seeds, bars their range" if len(summary.seeds) > 1 else "one training seed"
    return Picture(name, "Representations", f"{listed(read)}; {bars}.")
