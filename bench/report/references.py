"""Which publications a comparison rests on: found in its plug-ins' documentation, printed from one BibTeX file.

A method, task or judge says in the documentation of its file which paper it implements (``arXiv:2305.18290``). What the
statistics rest on is chosen by the settings. ``references.bib`` beside this file has the entries.
"""

from __future__ import annotations

import inspect
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.config.comparison import Comparison
from bench.core.frozen import Open, children
from bench.core.method import Lora, Method

BIBLIOGRAPHY = Path(__file__).with_name("references.bib")
ARXIV = re.compile(r"arXiv[: ]\s*(\d{4}\.\d{4,5})")
FIELD = re.compile(r"^\s*(\w+) = \{(.*)\},?$", re.MULTILINE)

SEVERAL_SEEDS = ("weerahandi1993generalized", "satterthwaite1946approximate", "owen2007pigeonhole")
ONE_SEED = ("miller2024errorbars",)
CORRECTIONS = {
    "holm": ("holm1979simple",),
    "max_t": ("romano2005exact",),
    "benjamini_hochberg": ("benjamini1995controlling",),
    "none": (),
}
LENGTH_CONTROLS = {
    "none": (),
    "glm": ("dubois2024lengthcontrolled",),
    "ratio": ("lee2023rlaif",),
    "log_ratio": ("lee2023rlaif",),
    "matched": ("li2018balancing",),
}
RANKING = ("davidson1970extending",)
FACTUALITY = ("min2023factscore",)
GAP = ("fieller1954problems",)
LM_EVAL = ("biderman2024lessons",)
LORA = ("hu2021lora",)


@dataclass(frozen=True)
class BibEntry:
    """One publication: its BibTeX key, its fields, and the entry as it stands in a BibTeX file."""

    key: str
    fields: Mapping[str, str]
    bibtex: str

    def as_text(self) -> str:
        """Return the publication as a line of text: authors, year, title, where."""
        names = [name.partition(",")[0] for name in re.split(r" and ", self.fields["author"])]
        who = names[0] if len(names) == 1 else f"{names[0]} and {names[1]}" if len(names) == 2 else f"{names[0]} et al."
        where = self.fields.get("journal") or f"arXiv:{self.fields['eprint']}"
        return plain(f"{who} ({self.fields['year']}): {self.fields['title']}. {where}")


@dataclass(frozen=True)
class Citation:
    """A publication and what of the comparison rests on it."""

    entry: BibEntry
    used_by: tuple[str, ...]


@cache
def bibliography() -> dict[str, BibEntry]:
    """Return every entry of the BibTeX file by its key."""
    found = {}
    for text in re.split(r"\n(?=@)", BIBLIOGRAPHY.read_text(encoding="utf-8").strip()):
        key = text.partition("{")[2].partition(",")[0]
        found[key] = BibEntry(key, dict(FIELD.findall(text)), text.strip())
    return found


def cited(arxiv: str) -> BibEntry:
    """Return the entry of an arXiv id; one with nothing but its address where the BibTeX file has none.

    A method from a file beside the comparison may cite what this program has never heard of.
    """
    for entry in bibliography().values():
        if entry.fields.get("eprint") == arxiv:
            return entry
    year = f"20{arxiv[:2]}"
    fields = {"title": f"arXiv:{arxiv}", "author": "arXiv", "year": year, "eprint": arxiv, "archiveprefix": "arXiv"}
    key = f"arxiv{arxiv.replace('.', '')}"
    body = "\n".join(f"  {name} = {{{value}}}," for name, value in fields.items())
    return BibEntry(key, fields, f"@misc{{{key},\n{body}\n}}")


def ids_in(plugin: Open) -> tuple[str, ...]:
    """Return the arXiv ids in the documentation of a plug-in's file and class, in order, each once."""
    module = inspect.getmodule(type(plugin))
    texts = ((module.__doc__ if module else None) or "", type(plugin).__doc__ or "")
    return tuple(dict.fromkeys(found for text in texts for found in ARXIV.findall(text)))


def citations(comparison: Comparison) -> tuple[Citation, ...]:
    """Return everything that a comparison rests on: methods first, then judges, tasks and statistics, each once."""
    users: dict[str, tuple[BibEntry, list[str]]] = {}
    for entry, user in _uses(comparison):
        names = users.setdefault(entry.key, (entry, []))[1]
        if user not in names:
            names.append(user)
    return tuple(Citation(entry, tuple(names)) for entry, names in users.values())


def of_method(comparison: Comparison, arm: str) -> tuple[BibEntry, ...]:
    """Return what one arm's method rests on, the methods within it included."""
    found = [name for part in methods_in(comparison.arm(arm).method) for name in ids_in(part)]
    return tuple(cited(name) for name in dict.fromkeys(found))


def as_bibtex(entries: Iterable[BibEntry]) -> str:
    """Return the entries as the text of a BibTeX file, in the order given."""
    return "\n\n".join(entry.bibtex for entry in entries) + "\n"


def methods_in(value: Any) -> Iterator[Method]:
    """Yield a method and every method within its settings (its start, its learner)."""
    if isinstance(value, Method):
        yield value
    for part in children(value):
        yield from methods_in(part)


def plain(text: str) -> str:
    """Return BibTeX text without braces and with its accents as letters."""
    for accent, combining in (("'", "\u0301"), ('"', "\u0308")):
        text = re.sub(rf"\{{\\{accent}(\w)\}}", rf"\1{combining}", text)
    return unicodedata.normalize("NFC", re.sub(r"[{}]", "", text)).replace("--", "\u2013")


def _uses(comparison: Comparison) -> Iterator[tuple[BibEntry, str]]:
    """Yield every entry with one user of it."""
    known = bibliography()
    for arm in comparison.arms:
        yield from ((entry, arm.name) for entry in of_method(comparison, arm.name))
        if isinstance(arm.lora, Lora):
            yield from ((known[key], "adapters") for key in LORA)
    evaluation = comparison.evaluation
    for judge in (*evaluation.judges, *evaluation.ratings):
        yield from ((cited(found), f"the judge {judge.label}") for found in ids_in(judge.judge))
    if comparison.given.labeller is not None:
        yield from ((cited(found), "the labeller") for found in ids_in(comparison.given.labeller))
    for task in evaluation.tasks:
        yield from ((cited(found), f"the task {task.NAME}") for found in ids_in(task))
    if evaluation.benchmarks:
        yield from ((known[key], "lm-eval") for key in LM_EVAL)
    yield from ((known[key], words) for key, words in _statistics(comparison))


def _statistics(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Yield the keys of what the statistics rest on, each with what it is used for."""
    tests = SEVERAL_SEEDS if len(comparison.given.seeds) > 1 else ONE_SEED
    yield from ((key, "tests and intervals") for key in tests)
    yield from ((key, "the correction for several tests") for key in CORRECTIONS[comparison.statistics.correction])
    controls = LENGTH_CONTROLS[comparison.evaluation.length_control.model]
    yield from ((key, "win rates at equal length") for key in controls)
    if comparison.evaluation.judges and len(comparison.arms) > 2:
        yield from ((key, "the ranking of all methods") for key in RANKING)
    if comparison.evaluation.factuality is not None:
        yield from ((key, "factual errors") for key in FACTUALITY)
    if comparison.evaluation.gap_closed:
        yield from ((key, "shares of a gap") for key in GAP)
