"""How every picture looks: colours, markers, sizes, and writing a figure so that equal figures give equal bytes.

matplotlib is imported inside the functions, and figures are built on the Agg canvas without pyplot, so that nothing is
registered globally and drawing works without a display.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.core.files import replacing

# Okabe and Ito's colour-blind-safe palette, without its yellow and black (yellow is too faint on white), and four of
# Tol's muted colours for comparisons of many arms; ordered so that neighbours differ in lightness too. The markers and
# line styles below carry the same distinction in grey: their number and that of the colours have no common divisor.
PALETTE = (
    "#0072B2", "#E69F00", "#009E73", "#56B4E9", "#D55E00", "#CC79A7", "#332288", "#999933", "#882255",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
HATCHES = (None, "////", "....", "xxxx")
A_BETTER = "#0072B2"
B_BETTER = "#D55E00"
UNDECIDED = "#6E6E6E"
INK = "#222222"
FAINT = "#8A8A8A"
GRID = "#DDDDDD"
PNG_DPI = 160
RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "alignment-bench",
    "text.parse_math": False,
}


def colour(position: int) -> str:
    """Return the colour of the arm at that position; after the last the palette starts again with other markers."""
    return PALETTE[position % len(PALETTE)]


def hatch(position: int) -> str | None:
    """Return the hatching of an area at that position: none in the palette's first round, another in each later one."""
    return HATCHES[position // len(PALETTE) % len(HATCHES)]


def marker(position: int) -> str:
    """Return the marker of the arm at that position."""
    return MARKERS[position % len(MARKERS)]


def legend_entries(panels: Iterable[Any]) -> dict[str, Any]:
    """Return the handle of every label in any of the panels, each label once, in the order of its first."""
    entries: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    return entries


def styled() -> Any:
    """Return a context in which matplotlib has this project's settings, restored when it ends."""
    import matplotlib as mpl  # noqa: PLC0415 - 0.3 s that `bench plan` need not pay

    return mpl.rc_context(RC)


def new_figure(width: float, height: float) -> Any:
    """Return an empty figure of that many inches on the Agg canvas. Use it inside ``styled``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - as above
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, folder: Path, name: str) -> None:
    """Write ``<name>.png`` and ``<name>.svg`` without dates or software names. Use it inside ``styled``.

    The layout that the first file finds is frozen for the second, so that both show the same picture.
    """
    with replacing(folder / f"{name}.png") as partial:
        figure.savefig(partial, format="png", dpi=PNG_DPI, metadata={"Software": None})
    figure.set_layout_engine("none")
    with replacing(folder / f"{name}.svg") as partial:
        figure.savefig(partial, format="svg", metadata={"Date": None, "Creator": None})
