"""Numbers as text: the one place that decides how many digits a reader sees, so that a test can compare."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from bench.core.metrics import PREFERENCES
from bench.results.conclusions.contrast import Contrast, shown_interval
from bench.results.unseen import visible

MINUS = "\u2212"
NONE = "\u2013"
# The sign of a difference, first minus second, where it is decided and neither side is better.
A_HIGHER, B_HIGHER = "\u2191", "\u2193"
MOST_DECIMALS = 6
SMALLEST_P = 0.001
# Metrics whose words are not their name with spaces.
SPELT = {"length_controlled_win_rate": "length-controlled win rate", "factscore": "FActScore"}
# How the part of a contrast's note begins that says its differences are too skewed for its test.
SKEWED = "skewed differences"
PREFIXES = ("", " k", " M", " G", " T", " P", " E")


def decimals_for(spread: float | None) -> int:
    """Return how many decimals a value with this uncertainty deserves.

    The rule of the Particle Data Group (Review of Particle Physics, introduction, section 5.3): with the three
    leading digits of the uncertainty between 100 and 354 keep two digits of it, between 355 and 949 one, and above
    that round up to 1000 and keep two. Without an uncertainty: three decimals.
    """
    if spread is None or spread <= 0:
        return 3
    exponent = math.floor(math.log10(spread))
    lead = round(spread / 10.0**exponent * 100)
    if lead >= 950:
        exponent += 1
    digits = 1 if 354 < lead < 950 else 2
    return min(MOST_DECIMALS, max(0, digits - 1 - exponent))


def number(value: float | None, decimals: int) -> str:
    """Return a value with that many decimals, a true minus sign, and no negative zero; a dash for None."""
    if value is None:
        return NONE
    text = f"{value:.{decimals}f}"
    if not text.strip("-0."):
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def signed(value: float | None, decimals: int) -> str:
    """Return a value with its sign always written; a dash for None."""
    text = number(value, decimals)
    return text if value is None or text.startswith(MINUS) or not text.strip("0.") else f"+{text}"


def decimals_of(contrast: Contrast) -> int:
    """Return the decimals for a contrast: by its half width, and more where rounding would put a bound on the null."""
    bounds = shown_interval(contrast)
    if bounds is None:
        return 3
    decimals = decimals_for((bounds[1] - bounds[0]) / 2)
    while decimals < MOST_DECIMALS and any(
        bound != contrast.null_value and round(bound, decimals) == contrast.null_value for bound in bounds
    ):
        decimals += 1
    return decimals


def on_scale(contrast: Contrast, value: float | None) -> str:
    """Return a value on the contrast's scale: a difference with its sign, a win rate without."""
    write = number if contrast.metric in PREFERENCES else signed
    return write(value, decimals_of(contrast))


def interval(contrast: Contrast) -> str:
    """Return ``[low, high]`` of the adjusted interval, which agrees with the verdict, or a dash where there is none."""
    bounds = shown_interval(contrast)
    return NONE if bounds is None else f"[{on_scale(contrast, bounds[0])}, {on_scale(contrast, bounds[1])}]"


def intervals_of(contrasts: Sequence[Contrast]) -> str:
    """Return ``adjusted 95% intervals``: what the intervals that these contrasts are shown with are called.

    Those that have no adjusted one are told, because they are shown with their single one.
    """
    having = [item for item in contrasts if shown_interval(item) is not None]
    levels = listed([percent(level) for level in sorted({item.level for item in having})])
    single = sum(item.adjusted_low is None or item.adjusted_high is None for item in having)
    if single == len(having):
        return f"{levels} intervals, not adjusted"
    return f"adjusted {levels} intervals{f' ({single} not adjusted)' if single else ''}"


def estimate(contrast: Contrast) -> str:
    """Return the estimate, or a dash where there is none."""
    return on_scale(contrast, contrast.estimate)


def per_seed(contrast: Contrast) -> str:
    """Return the estimates of the training seeds, in order, or a dash where there are none."""
    return ", ".join(on_scale(contrast, value) for value in contrast.per_run) or NONE


def smallest_detectable(contrast: Contrast) -> str:
    """Return the minimum detectable difference from the null value, unsigned, or a dash; its range in brackets."""
    decimals = decimals_of(contrast)
    low, high = contrast.smallest_detectable_low, contrast.smallest_detectable_high
    text = number(contrast.smallest_detectable, decimals)
    return text if low is None or high is None else f"{text} ({number(low, decimals)} to {number(high, decimals)})"


def skewed(contrasts: Sequence[Contrast]) -> tuple[str, ...]:
    """Return a line for each contrast whose differences are too skewed for its test, with what its note says of it."""
    parts = [(item, part) for item in contrasts for part in item.note.split("; ") if part.startswith(SKEWED)]
    return tuple(f"{item.a} vs {item.b}: {part}" for item, part in parts)


def p_value(p: float | None, level: float) -> str:
    """Return a p-value: ``< 0.001``, else three decimals (two from 0.1 on), and more where rounding would reach alpha.

    A dash for None. ``level`` is the confidence level, so alpha is ``1 - level``.
    """
    if p is None:
        return NONE
    if p < SMALLEST_P:
        return f"< {SMALLEST_P}"
    alpha = round(1 - level, 12)
    decimals = 2 if p >= 0.1 else 3
    while decimals < MOST_DECIMALS and p != alpha and round(p, decimals) == alpha:
        decimals += 1
    return f"{p:.{decimals}f}"


def p_clause(p: float | None, level: float) -> str:
    """Return ``p < 0.001`` or ``p = 0.43`` for a sentence; a dash after p for None."""
    text = p_value(p, level)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def percent(share: float | None, decimals: int = 1) -> str:
    """Return a share in [0, 1] as a percentage, or a dash; no trailing zeros."""
    if share is None:
        return NONE
    text = f"{100 * share:.{decimals}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", MINUS) + "%"


def amount(value: float | None) -> str:
    """Return a count with three significant digits and an SI prefix (``4.12 T``), or a dash."""
    if value is None:
        return NONE
    size = abs(value)
    step = 0
    while step < len(PREFIXES) - 1 and float(f"{size:.3g}") >= 1000:
        size /= 1000
        step += 1
    text = f"{size:.3g}" if size < 1000 else f"{size:.3e}"
    return f"{MINUS if value < 0 else ''}{text}{PREFIXES[step]}"


def duration(seconds: float | None) -> str:
    """Return a time as ``0.42 s``, ``45 s``, ``3 min 20 s`` or ``2 h 05 min``, or a dash."""
    if seconds is None:
        return NONE
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds else "0 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    whole_minutes = round(seconds / 60)
    return f"{whole_minutes // 60} h {whole_minutes % 60:02d} min"


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """Return ``1 seed`` or ``3 seeds``, thousands separated."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def listed(items: list[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def value_text(value: object) -> str:
    """Return a setting as a reader would write it: floats in their shortest form, None as a dash."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}".replace("-", MINUS) if float(f"{value:g}") == value else repr(value)
    if isinstance(value, list | tuple):
        return ", ".join(value_text(item) for item in value) or "none"
    return str(value)


def shortened(text: str, most: int) -> str:
    """Return the text, cut in its middle by an ellipsis when it is longer than ``most`` characters, on one line."""
    flat = " ".join(text.split())
    if len(flat) <= most:
        return flat
    tail = (most - 1) // 2
    return f"{flat[: most - 1 - tail]}\u2026{flat[len(flat) - tail :]}"


def describe_metric(metric: str) -> str:
    """Return a metric's name as words: ``win rate``."""
    return SPELT.get(metric) or metric.replace("_", " ")


def describe_verdict(contrast: Contrast) -> str:
    """Return ``dpo better``, ``sft better`` or ``undecided``; for a metric without a better side, who is higher.

    The arrow of ``↑ dpo higher`` and ``↓ sft higher`` is the sign of the difference, first minus second.
    """
    words = {
        "a better": f"{contrast.a} better",
        "b better": f"{contrast.b} better",
        "a higher": f"{A_HIGHER} {contrast.a} higher",
        "b higher": f"{B_HIGHER} {contrast.b} higher",
        "undecided": "undecided",
    }
    return words[contrast.verdict]


def decisive_p(contrast: Contrast) -> float | None:
    """Return the p-value the verdict rests on: the adjusted one where there is one."""
    return contrast.p if contrast.p_adjusted is None else contrast.p_adjusted


def markdown(text: str) -> str:
    """Return the text on one line with everything escaped that Markdown would read as markup or a table's bar.

    Characters that no reader sees are spelt out.
    """
    flat = " ".join(visible(text.replace("\r\n", "\n")).split())
    flat = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", re.sub(r"&(?=[#\w]+;)", "&amp;", flat))
    flat = re.sub(r"([\\`*|$~])", r"\\\1", flat)
    # Brackets are markup only before a target or another bracket, and underscores only at the edge of a word.
    flat = re.sub(r"\](?=[(\[])", r"\\]", flat)
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", flat)


def markdown_line(text: str) -> str:
    """Return the same for text that begins a line, where a number, a dash or a hash would begin a list or a heading."""
    return re.sub(r"^(\d+(?=[.)](\s|$))|(?=[#+=>\[-]))", r"\1\\", markdown(text))
