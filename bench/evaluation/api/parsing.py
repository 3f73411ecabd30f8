"""From what a model wrote to the answer it chose: a strict format, and nothing guessed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.core.judge import Status
from bench.evaluation.api.replies import Answer
from bench.evaluation.api.thoughts import said_aloud
from bench.evaluation.judges._prompt_file import Form

ReplyStyle = Literal["bare", "reasoned"]
TIE = "tie"
CUT = "length"  # the servers' word for an answer that was cut at max_tokens
_AROUND = " \t*_`'\"“”‘’()[]{}."
# How a model says no; looked for only where there is no answer.
_REFUSALS = ("i'm sorry", "i am sorry", "sorry,", "i cannot", "i can't", "i can not", "i'm unable", "i am unable")


@dataclass(frozen=True)
class Chosen:
    """Which answer was chosen, by its place among the possible ones, None with a status that says why not."""

    place: int | None
    status: Status = "ok"


def possible(form: Form, *, ties: bool) -> tuple[str, ...]:
    """Return the answers a model may give: those of the form, and a tie where that is one."""
    return (*form.answers, TIE) if ties else form.answers


def request(form: Form, style: ReplyStyle, answers: Sequence[str]) -> str:
    """Return the block behind a question that says how the answer is to be written."""
    label, listed = _label(form), ", ".join(answers)
    if style == "bare":
        return f"{label}: reply with exactly one of {listed}, and with nothing else."
    return f'Write that first. Then end with one line "{label}: X", where X is exactly one of {listed}.'


def chosen(answer: Answer, form: Form, style: ReplyStyle, answers: Sequence[str]) -> Chosen:
    """Return which of the possible answers a model chose.

    ``bare``: what it wrote is one of them, perhaps behind the label that the question ends with. ``reasoned``: the last
    line is the label and one of them. Case, quotation marks, brackets, asterisks and a full stop do not count, nor what
    a reasoning model thinks first (``bench.evaluation.api.thoughts``). Anything else is unparsed, or refused where it
    begins as refusals do; so is a thought that does not end, reasons that were cut off, whose last line is not the one
    that was asked for, and the beginning of a longer answer that was cut off ("1" of "10").
    """
    return chosen_of(answer, _label(form), style, answers)


def chosen_of(answer: Answer, label: str, style: ReplyStyle, answers: Sequence[str]) -> Chosen:
    """Return the same for a question without a form, whose answers stand behind ``label``."""
    if answer.status != "ok":
        return Chosen(None, answer.status)
    aloud = said_aloud(answer.text)
    if aloud is None or (style == "reasoned" and answer.finish == CUT):
        return Chosen(None, "unparsed")
    text = aloud.strip()
    lines = [line for line in text.splitlines() if line.strip(_AROUND)]
    behind = _behind_label(lines[-1], label) if lines else None
    if behind is None and style == "bare" and len(lines) == 1:
        behind = lines[0]
    elif style == "bare" and len(lines) != 1:
        behind = None
    written = None if behind is None else behind.strip(_AROUND).casefold()
    known = [option.casefold() for option in answers]
    if written is None or written not in known:
        begins = text.casefold().replace("’", "'").startswith(_REFUSALS)
        return Chosen(None, "refused" if begins else "unparsed")
    if answer.finish == CUT and any(option != written and option.startswith(written) for option in known):
        return Chosen(None, "unparsed")
    return Chosen(known.index(written))


def _label(form: Form) -> str:
    """Return the form's ending without its colon: what stands before the answer."""
    return form.ending.strip().rstrip(":").strip() or "Answer"


def _behind_label(line: str, label: str) -> str | None:
    """Return what stands behind the label on a line, None where the line does not begin with it."""
    found = re.match(rf"[\s*_`'\"#>-]*{re.escape(label)}[\s*_`'\"]*[:=][\s*_`'\"]*(.*)$", line, re.IGNORECASE)
    return None if found is None else found[1]
