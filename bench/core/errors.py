"""Errors that tell a user what is wrong, where, why, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


class BenchError(Exception):
    """A problem the user can act on; the command line prints it without a traceback and exits with 2."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a comparison file: where it stands, what is wrong, what to do next."""

    where: str
    what: str
    next_step: str | None = None

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}"
        return f"{text}\n    {self.next_step}" if self.next_step else text


class ConfigError(BenchError):
    """Every problem of a comparison file at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "1 problem" if count == 1 else f"{count} problems"
        super().__init__("\n".join([f"{head} in the comparison file", *(str(problem) for problem in self.problems)]))


class DataError(BenchError):
    """Data that cannot be used as given: a missing file, a row without a needed column, a changed digest."""


class StageError(BenchError):
    """A stage that cannot do its work; names the stage, the reason and the next step."""


class DamagedArtefact(BenchError):
    """A stored payload whose bytes differ from what its manifest recorded."""


class IncompleteRecords(BenchError):
    """Rows of the crossing method x seed x prompt are missing, so statistics refuse to run."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``Did you mean 'x'?`` followed by the known names, or the known names alone when none is near."""
    names = sorted(set(known))
    near = get_close_matches(word, names, n=1, cutoff=0.6)
    listing = f"known: {', '.join(names)}" if names else "none are known"
    return f"Did you mean '{near[0]}'? ({listing})" if near else listing
