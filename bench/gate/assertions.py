"""A finished run as a test suite asserts about it: one criterion, or the whole gate of its file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.config.comparison import Comparison, Criterion
from bench.config.load import load_comparison
from bench.core.errors import BenchError, did_you_mean
from bench.gate.check import Checked, check_comparison
from bench.gate.criteria import CriterionResult
from bench.gate.criteria_in_words import sentence
from bench.gate.decide import overall


class FinishedRun:
    """A comparison that has been run. Nothing is computed but tests on the stored rows; torch is not loaded."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    def assert_gate(self, baseline: str | Path | None = None) -> tuple[CriterionResult, ...]:
        """Return the results of the file's gate; raises AssertionError unless every criterion passes."""
        found = check_comparison(self.comparison, None if baseline is None else Path(baseline))
        return _passed(found)

    def assert_passes(self, baseline: str | Path | None = None, **criterion: Any) -> tuple[CriterionResult, ...]:
        """Return the results of one criterion, written like a line of the gate; raises AssertionError unless it passes.

        Undecided is not passed. The pair must be among the comparison's contrasts, or ``versus="baseline"``. Raises
        BenchError for a criterion that is none.
        """
        return _passed(self._checked(baseline, criterion))

    def assert_no_regression(self, baseline: str | Path | None = None, **criterion: Any) -> tuple[CriterionResult, ...]:
        """Return the results of one criterion; raises AssertionError where it found a regression."""
        found = self._checked(baseline, criterion)
        if overall(found.results) == "regression":
            raise AssertionError(_not_passed(found.results))
        return found.results

    def _checked(self, baseline: str | Path | None, criterion: dict[str, Any]) -> Checked:
        wanted = self.comparison.model_copy(update={"gate": (_criterion(criterion),)})
        return check_comparison(wanted, None if baseline is None else Path(baseline))


def finished_run(path: Path) -> FinishedRun:
    """Return the run of the comparison at a path; raises BenchError where there is none."""
    return FinishedRun(load_comparison(path))


def _criterion(fields: dict[str, Any]) -> Criterion:
    """Return the criterion of the fields; raises BenchError for one that is none."""
    known = Criterion.model_fields
    for name in fields:
        if name not in known:
            raise BenchError(f"a criterion has no '{name}'. {did_you_mean(name, known)}")
    try:
        return Criterion.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BenchError(
            f"this is no criterion ({where}: {first['msg']}). It needs metric, method and versus."
        ) from error


def _passed(found: Checked) -> tuple[CriterionResult, ...]:
    if overall(found.results) != "pass":
        raise AssertionError(_not_passed(found.results))
    return found.results


def _not_passed(results: Sequence[CriterionResult]) -> str:
    """Return every result that does not pass, a line each."""
    return "\n".join(f"{item.name}: {sentence(item)}" for item in results if item.verdict != "pass")
