"""Sentences of free text with their places, and sentences in which a model declines to say anything."""

from __future__ import annotations

import re

_TITLES = "mr mrs ms dr prof rev fr sr jr st hon gen col maj capt cmdr lt sgt gov sen rep pres"
_LATIN = "vs v cf eg ie al approx ca c b d r fl"
_PLACES = "est dept univ inc ltd co corp bros mt ft ave blvd rd"
_PAPERS = "no nos vol vols ed eds pp p ch fig figs eq sec"
_DATES = "jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun"
# Abbreviations that a full stop belongs to. Lower case; the last word before the stop is looked up.
ABBREVIATIONS = frozenset(f"{_TITLES} {_LATIN} {_PLACES} {_PAPERS} {_DATES}".split())
# Of these, the ones that often end a sentence too: a capital after them decides that it does.
ENDING_ABBREVIATIONS = frozenset({"inc", "ltd", "co", "corp", "bros", "jr", "sr", "ave", "blvd", "rd", "al", "etc"})
_END = re.compile(r"[.!?\u2026]+[\"'\u201d\u2019)\]]*(?=\s|$)|\n+")
_MARKER = re.compile(r"(?:[-*\u2022]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s+")
_INITIALS = re.compile(r"(?:^|[\s(\"'])(?:[A-Za-z]\.)*[A-Za-z]$")
_WORD = re.compile(r"[\w'\u2019]+$")
_CAPITAL = re.compile(r"\s*[\"'\u201c\u2018(\[]*[A-Z\u00c0-\u00de0-9]")
_ABSTAINS = re.compile(
    r"\b(?:i|we)(?:'m| am|'re| are)? (?:sorry|afraid|unable|not (?:able|sure|aware|certain|familiar)|unaware)\b"
    r"|\b(?:i|we) (?:do(?: not|n['\u2019]t)|can(?:not| not|['\u2019]t)|could(?: not|n['\u2019]t)) "
    r"(?:\w+ ){0,2}(?:know|have|find|provide|answer|help|recall|confirm|verify|say|tell|comment|assist)\b"
    r"|\b(?:i|we) have no (?:idea|information|knowledge|comment|record)\b"
    r"|\bas an? (?:ai|language model|artificial intelligence)\b"
    r"|\bno (?:reliable |further |public )?information (?:is available|was found|could be found)\b"
    r"|\b(?:could|can) you (?:please )?(?:provide|give|clarify)\b",
    re.IGNORECASE,
)


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return the places (start, end) of a text's sentences, in order, without the space and list marks around them.

    A sentence ends with ``.``, ``!``, ``?`` or an ellipsis before a space, with the quotes and brackets that close
    behind it, and at the end of a line. A full stop of an abbreviation, of initials or of a number in a list ends none.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _END.finditer(text):
        if match.group().startswith("\n") or _ends(text, start, match):
            spans.append((start, match.start() if match.group().startswith("\n") else match.end()))
            start = match.end()
    spans.append((start, len(text)))
    return [trimmed for span in spans if (trimmed := _trimmed(text, span)) is not None]


def abstains(sentence: str) -> bool:
    """Tell whether a sentence declines to say something: it does not know, cannot help, or asks to be told more.

    By a fixed list of English wordings; docs/factuality.md says how far that goes.
    """
    return _ABSTAINS.search(sentence) is not None


def _ends(text: str, start: int, match: re.Match[str]) -> bool:
    """Tell whether the punctuation of a match ends the sentence that began at ``start``."""
    if not match.group().startswith(".") or match.group().startswith(".."):
        return True
    before, after = text[start : match.start()], text[match.end() :]
    if not before.strip() or _MARKER.fullmatch(f"{before.strip()}. "):
        return False
    word = _WORD.search(before)
    last = word.group().lower() if word else ""
    if last in ENDING_ABBREVIATIONS:
        return _CAPITAL.match(after) is not None or not after.strip()
    if last in ABBREVIATIONS:
        return not after.strip()
    if _INITIALS.search(before) and last != "i":
        return not after.strip() or _end_of_acronym(before, after)
    return not after.strip() or after[:1] == "\n" or not after.lstrip()[:1].islower()


def _end_of_acronym(before: str, after: str) -> bool:
    """Tell whether initials with several stops (U.S.) end a sentence: only a common first word behind them says so."""
    first = re.match(r"\s+(The|He|She|It|They|In|His|Her|A|An|This|That|After|During|Since)\b", after)
    return "." in before[-3:] and first is not None


def _trimmed(text: str, span: tuple[int, int]) -> tuple[int, int] | None:
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    marker = _MARKER.match(text, start, end)
    if marker:
        start = marker.end()
    while end > start and text[end - 1].isspace():
        end -= 1
    return (start, end) if any(letter.isalnum() for letter in text[start:end]) else None
