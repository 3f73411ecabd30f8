"""Sentences of free text with their places, and sentences in which a model declines to say anything."""

from __future__ import annotations

import re

from bench.evaluation.checkers.scripts import HIRAGANA, SENTENCE_ENDS, UNSPACED

_TITLES = "mr mrs ms dr prof rev fr sr jr st hon gen col maj capt cmdr lt sgt gov sen rep pres"
_LATIN = "vs v cf eg ie al approx ca c b d r fl"
_PLACES = "est dept univ inc ltd co corp bros mt ft ave blvd rd"
_PAPERS = "no nos vol vols ed eds pp p ch fig figs eq sec"
_DATES = "jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun"
# Abbreviations that a full stop belongs to. Lower case; the last word before the stop is looked up.
ABBREVIATIONS = frozenset(f"{_TITLES} {_LATIN} {_PLACES} {_PAPERS} {_DATES}".split())
# Of these, the ones that often end a sentence too: a capital after them decides that it does.
ENDING_ABBREVIATIONS = frozenset({"inc", "ltd", "co", "corp", "bros", "jr", "sr", "ave", "blvd", "rd", "al", "etc"})
_CLOSING = r"[\"'\u201d\u2019\u00bb\u203a)\]\uff09\u3011\u300d\u300f\u300b\u3009\uff3d\u3015]*"
# Latin's marks end a sentence before a space, and before a word of a script that writes none; a script's own marks end
# one wherever they stand, and full stops that look like Latin's do except before a digit.
_END = re.compile(
    rf"[.!?\u2026]+{_CLOSING}(?=\s|$|[{UNSPACED}])"
    rf"|(?:[{SENTENCE_ENDS}]|[\u2024\ufe52\uff0e](?!\d))[{SENTENCE_ENDS}!?]*{_CLOSING}|\n+"
)
# Japanese goes on behind a quotation: "..." to itta.
_GOES_ON = re.compile(f"[\u300d\u300f\u201d][{HIRAGANA}]")
_MARKER = re.compile(r"(?:[-*\u2022]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s+")
_INITIALS = re.compile(r"(?:^|[\s(\"'])(?:[A-Za-z]\.)*[A-Za-z]$")
_WORD = re.compile(r"[\w'\u2019]+$")
_CAPITAL = re.compile(r"\s*[\"'\u201c\u2018(\[]*[A-Z\u00c0-\u00de0-9]")
_NOT = r"(?:do(?: not|n['\u2019]?t)|can(?:not| not|['\u2019]?t)|could(?: not|n['\u2019]?t))"
_DATA = r"(?:[\w-]+ ){0,2}(?:information|data|details|records?)"
_UNABLE = r"(?:(?:['\u2019]m| am|['\u2019]re| are) (?:unable|not able) to|"
_KNOWN = (
    r"(?:info(?:rmation)?|knowledge|details?|data|records?|access|context|idea|clue|answer|memory|recollection|sources?"
    r"|evidence|mentions?|references?|results|anything|(?:personal )?(?:opinions?|beliefs|feelings|experiences?))"
)
_DOES_NOT = r"do(?:es)?(?: not|n['\u2019]?t)"
# Who declines says so of himself, and names what he lacks: knowledge, not a king or his keys.
_ABSTAINS = re.compile(
    rf"\b(?:i|we){_UNABLE} {_NOT}) (?:\w+ ){{0,2}}"
    r"(?:know|provide|answer|help(?! but\b)|recall|confirm|verify|say(?! enough\b)|tell|comment|assist|determine"
    r"|identify|browse)\b"
    rf"|\b(?:i|we){_UNABLE} {_NOT}) (?:\w+ ){{0,2}}(?:have|find|locate|access) (?:[\w-]+ ){{0,4}}{_KNOWN}\b"
    rf"|\b(?:i|we)(?:['\u2019]ve| have)? (?:(?:have|had|found|got) no|lack(?:ed)?) (?:[\w-]+ ){{0,3}}{_KNOWN}\b"
    r"|\b(?:i|we)(?:['\u2019]m| am|['\u2019]re| are) (?:"
    r"sorry(?=\W*$|[,.;:!]*(?: but)?,? (?:(?:as an [^,]{0,40}, )?(?:i|we)|there|that|this)\b)|unaware\b"
    r"|afraid(?= (?:that )?(?:i|we|there|no)\b| not\b)|not (?:sure|aware|certain|familiar)\b)"
    r"|\b(?:i|we) apologi[sz]e\b(?=\W*$|[,.;:!]| but\b| for (?:the|any) (?:confusion|inconvenience))"
    r"|\b(?:i|we)(?: have|['\u2019]ve)(?: never|n['\u2019]?t| not) (?:ever )?(?:heard|read|come across)(?: anything)? "
    r"(?:of|about)\b|\b(?:i|we) haven['\u2019]?t (?:ever )?heard(?: anything)? (?:of|about)\b"
    r"|\b(?:i|we)(?: will not| won['\u2019]?t| (?:must )?(?:decline|refuse) to|(?:['\u2019]d| would) rather not) "
    r"(?:answer|provide|help|assist|comment|discuss|speculate|say)\b"
    r"|\b(?:i|we)(?: would|['\u2019]d)? (?:need|require) (?:some )?(?:more|further|additional) (?:[\w-]+ ){0,2}"
    r"(?:context|information|info|details?|data|specifics)\b"
    rf"|\bmy (?:training(?: data)?|knowledge(?: base)?|data(?:base)?) {_DOES_NOT} (?:\w+ )?"
    r"(?:include|contain|cover|extend|have|mention)\b"
    r"|\b(?:beyond|outside)(?: of)? my (?:knowledge|expertise|scope|training)\b"
    rf"|\bthere (?:is|are)(?: not|n['\u2019]t) (?:any|enough) {_DATA}\b"
    r"|^\W*(?:idk|i dunno|no (?:idea|clue|comment)|not sure|unknown|n/a)\W*$"
    r"|^\W*please (?:provide|give|share|specify|clarify)\b"
    r"|\bhave no comment\b|^\W*(?:sorry|apologies|unfortunately), (?:but )?(?:i|we) (?:cannot|can['\u2019]t)\b"
    rf"|\bthere (?:is|are|was|were) no {_DATA} (?:about|on|regarding|of|available)\b"
    rf"|\bno {_DATA} (?:(?:is|are) available|exists?|(?:was|were|could be) found)\b"
    r"|\b(?:information|data|details)\b(?: [\w-]+){0,6} (?:is|are) "
    r"(?:not (?:publicly |currently )?available|unavailable)\b"
    r"|\b(?:could|can|would) you (?:please )?(?:clarify\b|(?:provide|give|share|specify)\b[^.!?]*"
    r"\b(?:context|information|details?|specifics?|question|mean)\b)",
    re.IGNORECASE,
)
# What goes on declining behind a "but", or offers help.
_NO_SUBJECT = (
    r"(?:i|we|you|if|please|feel|let|perhaps|maybe|there|it|this|that|these|those|such|some|any|many|others?|more|further"
    r"|additional|your|my|our|without|the (?:information|question|data|context|topic|prompt|text|details?|answer))\b"
)
# What follows a hedge is a claim all the same.
_CLAIMS_YET = re.compile(
    r"\b(?:but|though|although|however),? (?:(?:i|we) (?:do )?(?:think|believe|guess|suspect|recall|remember)\b"
    r"|(?:he|she|it|they) (?:is|was|are|were|has|had)\b)"
    rf"|(?:\b(?:but|though|although|however),?|;) (?!{_NO_SUBJECT})[^,;.!?]{{1,60}}?\b(?:is|was|are|were|has|had)\b"
    r"|,? (?:around|approximately|roughly|probably|possibly|likely|perhaps|maybe) (?:in |on |about )?\d",
    re.IGNORECASE,
)
# What another says, or a title, is not the speaker's own word.
_QUOTED = re.compile(r"\"[^\"]*\"|\u201c[^\u201d]*\u201d|\u00ab[^\u00bb]*\u00bb")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return the places (start, end) of a text's sentences, in order, without the space and list marks around them.

    A sentence ends with ``.``, ``!``, ``?`` or an ellipsis before a space, with any other mark that Unicode calls a
    sentence's end wherever it stands, with the quotes and brackets that close behind it, and at the end of a line. A
    full stop of an abbreviation, of initials or of a number in a list ends none.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _END.finditer(text):
        if _GOES_ON.match(text, match.end() - 1):
            continue
        if match.group().startswith("\n") or _ends(text, start, match):
            spans.append((start, match.start() if match.group().startswith("\n") else match.end()))
            start = match.end()
    spans.append((start, len(text)))
    return [trimmed for span in spans if (trimmed := _trimmed(text, span)) is not None]


def abstains(sentence: str) -> bool:
    """Tell whether a sentence declines to say something: it does not know, cannot help, or asks to be told more.

    By a fixed list of English wordings; docs/factuality.md says how far that goes. A quotation within a sentence is not
    the speaker's own word.
    """
    said = _QUOTED.sub(" ", sentence)
    said = said if any(letter.isalnum() for letter in said) else sentence
    return _ABSTAINS.search(said) is not None and _CLAIMS_YET.search(said) is None


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
