"""Which contrasts the question is about, and what the others count for."""

from __future__ import annotations

from collections.abc import Sequence

from bench.config.comparison import Primary
from bench.results.conclusions.contrast import Contrast, Role
from bench.statistics.tests.corrections import holm


def with_roles(contrasts: Sequence[Contrast], wanted: Primary | None) -> list[Contrast]:
    """Return the contrasts, each ``primary`` or ``secondary``.

    ``wanted`` is None where the file names nothing with a better side (tasks of lm-eval say theirs in their results):
    then the metric of the first contrast with a better side is primary, else that of the first one.
    """
    leading = None if wanted is None else (wanted.metric, wanted.judge)
    if leading is None and contrasts:
        first = next((item for item in contrasts if item.higher_is_better is not None), contrasts[0])
        leading = first.metric, first.judge
    roles: dict[bool, Role] = {True: "primary", False: "secondary"}
    return [item.model_copy(update={"role": roles[(item.metric, item.judge) == leading]}) for item in contrasts]


def after_primary(contrasts: Sequence[Contrast]) -> dict[int, float]:
    """Return the adjusted p-values of the secondary contrasts, by place, that count only after the primary ones.

    Serial gatekeeping (Maurer, Hothorn and Lehmacher 1995; Westfall and Krishen 2001, J. Statist. Plann. Inference
    99): with all secondary hypotheses as one family after the primary family,

        p = max(largest adjusted p of the primary contrasts, Holm-adjusted p over all secondary ones)

    so that the error rate over everything that is concluded is that of one family. A primary contrast without a test
    keeps the gate shut (p = 1), and so does a file without any. ``contrasts`` are corrected within their families
    already. A/A controls are no hypotheses: they neither open the gate nor wait before it.
    """
    gate = [1.0 if item.p_adjusted is None else item.p_adjusted for item in contrasts if _counts(item, "primary")]
    raw = {place: p for place, item in enumerate(contrasts) if _counts(item, "secondary") and (p := item.p) is not None}
    opened = max(gate, default=1.0)
    return {place: max(opened, p) for place, p in zip(raw, holm(list(raw.values())), strict=True)}


def _counts(contrast: Contrast, role: Role) -> bool:
    return contrast.role == role and not contrast.is_control
