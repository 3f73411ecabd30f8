"""Responses that were rated, checked or labelled and look like the question that they stood in."""

from __future__ import annotations

from bench.report.inputs import Inputs
from bench.report.page.content import Block, Bullets, Heading, Text
from bench.results.conclusions.judge_audit import Imitations
from bench.results.wording import counted


def imitations_section(inputs: Inputs) -> list[Block]:
    """Return how many there are, by who read them; nothing where there are none. Pairs stand in the judges' section."""
    found = inputs.conclusions.imitations
    if not found:
        return []
    note = (
        "These hold a line of the question that they stood in, or one that begins as its answer does. They stood "
        "within a fence made of their digest, where the question has lines."
    )
    heading = Heading(2, "Responses that look like a question to their judge")
    return [heading, Bullets(tuple(_line(item) for item in found)), Text(note)]


def _line(item: Imitations) -> str:
    if item.what == "labelled":
        return f"{counted(item.count, 'pair')} of the labelled data, read by {item.by}"
    how = "rated by" if item.what == "rated" else "with such a claim, checked by"
    return f"{counted(item.count, 'response')} on {item.task}, {how} {item.by}"
