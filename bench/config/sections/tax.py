"""``evaluate.tax``: against which arm, and within which margin, benchmarks must be kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bench.config.comparison import AlignmentTax, Arm
from bench.config.document.problems import KeyPath
from bench.config.document.section import Section

NONE = "none"
# The method, by the name of its file, that preference training usually starts from.
STARTING_POINT = "sft"
Check = Callable[[Section, KeyPath, Any, Sequence[str]], bool]


def read_tax(
    section: Section, path: KeyPath, value: Any, names: Sequence[str], check_arm: Check
) -> AlignmentTax | None:  # fmt: skip
    """Return what is asked, None for ``none`` and for what is wrong (and reported)."""
    if value == NONE:
        return None
    fields = section.keys(path, value, list(AlignmentTax.model_fields), required=("versus",))
    if fields is None or "versus" not in fields or not check_arm(section, (*path, "versus"), fields["versus"], names):
        return None
    return section.build(AlignmentTax, path, fields)


def default_tax(arms: Sequence[Arm]) -> AlignmentTax | None:
    """Return the question that is asked where there are benchmarks and the file says nothing.

    Against the arm called ``sft``, else the first whose method is that of ``methods/sft.py``; None without either.
    """
    called = [arm for arm in arms if arm.name == STARTING_POINT]
    trained = [arm for arm in arms if type(arm.method).__module__.rpartition(".")[2] == STARTING_POINT]
    found = [*called, *trained]
    return AlignmentTax(versus=found[0].name) if found else None
