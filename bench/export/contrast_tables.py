"""Contrasts as files for papers and programs: CSV with a row per contrast, LaTeX with booktabs, JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from bench.core.formats.formulas import guarded
from bench.results.conclusions.contrast import Contrast
from bench.results.summary import RunSummary
from bench.results.wording import (
    NONE,
    counted,
    decisive_p,
    describe_metric,
    describe_verdict,
    estimate,
    interval,
    listed,
    p_value,
    percent,
)

TableFormat = Literal["csv", "latex", "json"]
# The fields of a contrast that hold several values; each of them gets columns of its own.
NESTED = ("per_run", "also", "components", "own_reward")
LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}", "\u2212": "$-$", "\u2013": "--",
    "\u2026": r"\ldots{}", "\u2191": r"$\uparrow$", "\u2193": r"$\downarrow$",
}  # fmt: skip
COLUMNS = ("method", "versus", "interval", "estimate", "$p$", "verdict")


def as_csv(contrasts: Sequence[Contrast], summary: RunSummary) -> str:
    """Return one row per contrast with every number in full: empty where there is none.

    A training seed's estimate is in ``seed_N``; other tests and intervals and the variance components are in columns
    that begin with ``also_`` and ``component_``. Names that a spreadsheet would take for a formula have an apostrophe
    before them.
    """
    rows = [_row(item, summary) for item in contrasts]
    plain = [name for name in Contrast.model_fields if name not in NESTED]
    further = dict.fromkeys(name for row in rows for name in row if name not in plain)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*plain, *further], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(contrast: Contrast, summary: RunSummary) -> dict[str, Any]:
    """Return a contrast as one flat row; None is written as nothing."""
    whole = contrast.model_dump()
    row = {name: value for name, value in whole.items() if name not in NESTED}
    row["own_reward"] = " ".join(contrast.own_reward)
    row |= {f"seed_{seed}": value for seed, value in zip(summary.seeds, contrast.per_run, strict=False)}
    row |= {f"also_{name}": value for name, value in contrast.also.items()}
    row |= {f"component_{name}": value for name, value in contrast.components.items()}
    return {name: guarded(value) if isinstance(value, str) else value for name, value in row.items()}


def as_json(contrasts: Sequence[Contrast], summary: RunSummary) -> str:
    """Return the contrasts with what they are about: the question, the seeds, the versions they were made with."""
    whole = {
        "comparison": summary.name,
        "question": summary.question,
        "seeds": list(summary.seeds),
        "versions": summary.versions,
        "contrasts": [item.model_dump() for item in contrasts],
    }
    return json.dumps(whole, indent=1, allow_nan=False) + "\n"


def as_latex(contrasts: Sequence[Contrast], summary: RunSummary) -> str:
    r"""Return one booktabs table per metric, judge and task, with the digits of the report.

    It needs ``\usepackage{booktabs}`` and a font encoding with quotation marks (T1, or a Unicode engine).
    """
    groups: dict[tuple[str, str | None, str], list[Contrast]] = {}
    for item in contrasts:
        groups.setdefault((item.metric, item.judge, item.task), []).append(item)
    head = "% Needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}.\n"
    return head + "\n".join(_table(items, summary) for items in groups.values())


def _table(items: Sequence[Contrast], summary: RunSummary) -> str:
    first = items[0]
    by = f", {first.judge} judge" if first.judge else ""
    seeds = listed([counted(count, "training seed") for count in sorted({item.n_runs for item in items})])
    levels = listed([percent(level) for level in sorted({item.level for item in items})])
    role = " Secondary." if first.role == "secondary" else ""
    lower = " Lower is better." if first.higher_is_better is False else ""
    caption = (
        f"{describe_metric(first.metric).capitalize()} ({first.task}{by}): {levels} intervals over {seeds}."
        f"{lower}{role} {'p is adjusted for several tests.' if any(i.p_adjusted is not None for i in items) else ''}"
    )
    name = "-".join(part for part in (summary.name, first.metric, first.judge, first.task) if part)
    rows = [
        " & ".join(
            escaped(cell)
            for cell in (
                item.a, f"{item.b}{' (A/A control)' if item.is_control else ''}", interval(item), estimate(item),
                p_value(decisive_p(item), item.level), _verdict(item),
            )
        ) + r" \\"
        for item in items
    ]  # fmt: skip
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(caption.strip())}}}",
            rf"\label{{tab:{re.sub(r'[^A-Za-z0-9-]+', '-', name)}}}",
            r"\begin{tabular}{llrrrl}",
            r"\toprule",
            " & ".join(COLUMNS) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _verdict(contrast: Contrast) -> str:
    verdict = describe_verdict(contrast)
    return f"{verdict}, own reward" if contrast.own_reward else verdict


def escaped(text: str) -> str:
    """Return the text so that LaTeX prints it as it stands, on one line; what it cannot print is a question mark.

    A bracket at the beginning of a row would be read as an argument of the line break before it.
    """
    flat = " ".join(text.split()) or NONE
    letters = "".join(LATEX.get(letter, letter if letter.isprintable() else "?") for letter in flat)
    return f"{{}}{letters}" if letters.startswith(("[", "*")) else letters


FORMATS: Mapping[TableFormat, Callable[[Sequence[Contrast], RunSummary], str]] = {
    "csv": as_csv,
    "latex": as_latex,
    "json": as_json,
}
SUFFIXES: Mapping[TableFormat, str] = {"csv": "csv", "latex": "tex", "json": "json"}
