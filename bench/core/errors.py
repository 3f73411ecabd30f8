"""Errors that tell a user what is wrong, where, why, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

_LONGEST_LINE = 700
_MOST_LINES = 60
_NAMES_SHOWN = 40
_NAMES_COMPARED = 1000
_LONGEST_NAME = 60


class BenchError(Exception):
    """A problem the user can act on; the command line prints it without a traceback and exits with 2.

    Whatever it quotes, it stays readable: long lines lose their middle, and lines beyond the 60th are counted.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(in_few_lines(str(message)))


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
    """Every problem of a comparison file at once; the first ``SHOWN`` are shown, the rest are counted."""

    SHOWN = 10

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "1 problem" if count == 1 else f"{count:,} problems"
        more = [f"and {count - self.SHOWN:,} more"] if count > self.SHOWN else []
        shown = [in_few_lines(str(problem)) for problem in self.problems[: self.SHOWN]]
        super().__init__("\n".join([f"{head} in the comparison file", *shown, *more]))


class DataError(BenchError):
    """Data that cannot be used as given: a missing file, a row without a needed column, a changed digest."""


class StageError(BenchError):
    """A stage that cannot do its work; names the stage, the reason and the next step."""


class DamagedArtefact(BenchError):
    """A stored payload whose bytes differ from what its manifest recorded."""


class IncompleteRecords(BenchError):
    """Rows of the crossing method x seed x prompt are missing, so statistics refuse to run."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``Did you mean 'x'?`` followed by the known names, or the known names alone when none is near.

    Of very many names some are shown and the rest are counted.
    """
    names = sorted(set(known))
    compared = [name for name in names[:_NAMES_COMPARED] if len(name) <= _LONGEST_LINE]
    near = get_close_matches(word, compared, n=1, cutoff=0.6) if len(word) <= _LONGEST_LINE else []
    listing = f"known: {some_of(names)}" if names else "none are known"
    return f"Did you mean '{near[0]}'? ({listing})" if near else listing


def one_line(text: str, most: int = 2_000) -> str:
    """Return a text as one line, cut where it is longer; what no file can hold (half a surrogate pair) is spelt out."""
    line = " ".join(text.encode("utf-8", "backslashreplace").decode("utf-8").split())
    return line if len(line) <= most else f"{line[: most - 4]} ..."


def some_of(names: Sequence[str]) -> str:
    """Return names with commas between them; of very many the first ones, and how many more there are."""
    shown = ", ".join(abridged(name, _LONGEST_NAME) for name in names[:_NAMES_SHOWN])
    return f"{shown} and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else shown


def abridged(text: str, most: int) -> str:
    """Return a text of at most about ``most`` characters: a longer one loses its middle, and says how much."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} [... {len(text) - most:,} characters ...] {text[-(most - most // 2) :]}"


def in_few_lines(text: str) -> str:
    """Return a text whose long lines are shortened and whose many lines are cut, and counted."""
    if len(text) <= _LONGEST_LINE:
        return text
    lines = text.split("\n")
    more = [f"and {len(lines) - _MOST_LINES:,} more lines"] if len(lines) > _MOST_LINES else []
    return "\n".join([*(abridged(line, _LONGEST_LINE) for line in lines[:_MOST_LINES]), *more])
