"""A chat as the text that a chat template makes of it, and where in it the turns' own words stand.

A template is a program: it may trim a turn, fold the system turn into another one, or leave parts out. Which characters
of its text are the template's is found by rendering the same roles with marks for contents. What then stands around the
marks is the template's; where the real text is not that with contents between, each content is rendered among marks to
see what the template makes of it. Where that does not explain the text either, the places are unknown.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from transformers import PreTrainedTokenizerBase

from bench.core.errors import StageError, some_of
from bench.core.policy import Chat
from bench.models.limits.endless import check_it_ends
from bench.models.limits.reasons import in_one_line

log = logging.getLogger(__name__)

# What a template that writes the date of the day reads, so that a run of tomorrow reads the prompts of this one: the
# date that Llama 3's own templates write where nothing tells one (meta-llama/Llama-3.2-1B-Instruct).
TODAY = date(2024, 7, 26)
# The parts that a date may be asked for in (Python's strftime), the longer of those that begin alike first.
_DATE_PARTS = ("%-d", "%-m", "%a", "%A", "%b", "%B", "%d", "%H", "%I", "%j", "%m", "%M", "%p", "%S", "%y", "%Y")
DEFAULT = "default"  # of several templates the one that is used where nobody names one (transformers)
_MARK = re.compile("qZq([0-9]+)zQz", re.IGNORECASE)  # a template may change the case of what turns say

Turns = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Content:
    """A turn's own words within a rendered chat: its role, and where they start and stop (half-open).

    Counted in characters of a text, or in ids of a prompt, as its owner says.
    """

    role: str
    start: int
    stop: int


@dataclass(frozen=True)
class Rendered:
    """A chat as text, and where its contents stand, in order; None where the template does not let that be found."""

    text: str
    contents: tuple[Content, ...] | None


@dataclass(frozen=True)
class Skeleton:
    """What a template writes around contents: text, the number of a turn, text, ..., text."""

    pieces: tuple[str, ...]
    order: tuple[int, ...]


def rendered(tokenizer: PreTrainedTokenizerBase, chat: Chat) -> Rendered:
    """Return a chat as the tokenizer's chat template lays it out, the assistant's turn opened behind it.

    Raises StageError where the template refuses the chat.
    """
    turns = tuple((message.role, message.content) for message in chat)
    text = render(tokenizer, turns, opened=True)
    roles = tuple(role for role, _ in turns)
    skeleton = skeleton_of(tokenizer, tokenizer.chat_template, roles, opened=True)
    if skeleton is None:
        return Rendered(text, None)
    for form in (str, str.strip):
        found = _between(skeleton, roles, [form(content) for _, content in turns])
        if found.text == text:
            return found
    shown = _shown(tokenizer, turns)
    if shown is not None:
        found = _between(skeleton, roles, shown)
        if found.text == text:
            return found
    return Rendered(text, None)


def continued(tokenizer: PreTrainedTokenizerBase, chat: Chat) -> Rendered:
    """Return a chat whose last turn is the assistant's and goes on: nothing stands behind what it says.

    Raises StageError where the template refuses the chat.
    """
    turns = tuple((message.role, message.content) for message in chat)
    text = render(tokenizer, turns, opened=False, goes_on=True)
    opened, begun = rendered(tokenizer, chat[:-1]), chat[-1].content
    if text != opened.text + begun or opened.contents is None:
        return Rendered(text, None)
    return Rendered(text, (*opened.contents, Content("assistant", len(opened.text), len(text))))


def render(tokenizer: PreTrainedTokenizerBase, turns: Turns, *, opened: bool, goes_on: bool = False) -> str:
    """Return turns as the template lays them out; ``opened``: whether the assistant's turn is opened behind them.

    ``goes_on``: whether the last turn is left open, nothing behind what it says. A template that asks for the date of
    the day reads ``TODAY``, whatever the day is; the log says so.
    Raises StageError, with the template's own words, where it refuses them.
    """
    messages = [{"role": role, "content": content} for role, content in turns]
    template = template_of(tokenizer)
    try:
        return str(
            tokenizer.apply_chat_template(
                messages,
                add_generation_prompt=opened,
                continue_final_message=goes_on,
                tokenize=False,
                chat_template=_dated(str(tokenizer.name_or_path), template) if "strftime_now" in template else None,
            )
        )
    except Exception as error:  # a template is a program of others and may fail in any way
        begins = " ".join(content for _, content in turns)[:60]
        raise StageError(
            f"the chat template of {tokenizer.name_or_path!r} cannot lay out the prompt {begins!r}, whose turns are "
            f"{', '.join(role for role, _ in turns)}: {in_one_line(error)}. Give the model turns that its template "
            "knows (put what the system turn says into the user turn, let user and assistant alternate), or another "
            "chat template."
        ) from error


def template_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the tokenizer's chat template, which ends; raises StageError for one that is no text or does not."""
    template = tokenizer.chat_template
    if not isinstance(template, str):
        found = f"a {type(template).__name__}, wanted one text"
        if isinstance(template, dict):
            found = f"several ({some_of(sorted(map(str, template)))}), none of them called {DEFAULT!r}"
        raise StageError(
            f"the chat template of {tokenizer.name_or_path!r} is {found}. Write the one that is meant into "
            "chat_template.jinja beside its tokenizer."
        )
    special = ((name, str(token)) for name, token in sorted(tokenizer.special_tokens_map.items()))
    check_it_ends(str(tokenizer.name_or_path), template, tuple(special))
    return template


@lru_cache(maxsize=64)
def default_template(name: str, names: tuple[str, ...], template: str) -> str:
    """Return the template called ``default`` of the tokenizer ``name``, which has those of ``names``; told once."""
    others = some_of([one for one in names if one != DEFAULT])
    if others:
        log.warning("%s: of its chat templates the one called %r is used; not used: %s", name, DEFAULT, others)
    return template


@lru_cache(maxsize=64)
def _dated(name: str, template: str) -> str:
    """Return the template of the tokenizer ``name``, which asks for the date of the day, with ``TODAY`` in its place.

    A macro hides the function of the same name that transformers gives every template.
    """
    log.warning("%s: its chat template writes the date of the day; in every run it reads %s", name, TODAY)
    written = "".join(f" | replace('{part}', '{TODAY.strftime(part)}')" for part in _DATE_PARTS)
    return f"{{% macro strftime_now(form) +%}}{{{{ form{written} }}}}{{% endmacro +%}}{template}"


@lru_cache(maxsize=256)
def skeleton_of(
    tokenizer: PreTrainedTokenizerBase, template: str, roles: tuple[str, ...], *, opened: bool
) -> Skeleton | None:
    """Return what the template writes around turns of these roles, or None where it refuses them.

    ``template`` is the tokenizer's, named so that another one is not taken for it.
    """
    del template
    try:
        return _split(
            render(tokenizer, tuple((role, mark_of(number)) for number, role in enumerate(roles)), opened=opened)
        )
    except StageError:
        return None


def mark_of(number: int) -> str:
    """Return what stands for the content of the turn with this number."""
    return f"qZq{number}zQz"


def filled(pieces: Sequence[str], order: Sequence[int], roles: Sequence[str], contents: Sequence[str]) -> Rendered:
    """Return the pieces with contents between them, and where these stand."""
    parts, found, length = [pieces[0]], [], len(pieces[0])
    for number, piece in zip(order, pieces[1:], strict=True):
        stop = length + len(contents[number])
        found.append(Content(roles[number], length, stop))
        parts += [contents[number], piece]
        length = stop + len(piece)
    return Rendered("".join(parts), tuple(found))


def _between(skeleton: Skeleton, roles: Sequence[str], contents: Sequence[str]) -> Rendered:
    return filled(skeleton.pieces, skeleton.order, roles, contents)


def _split(text: str) -> Skeleton:
    parts = _MARK.split(text)
    return Skeleton(tuple(parts[::2]), tuple(int(number) for number in parts[1::2]))


def _shown(tokenizer: PreTrainedTokenizerBase, turns: Turns) -> list[str] | None:
    """Return what the template makes of each content, marks standing for the others, or None where that is unclear."""
    found = []
    blank = tuple((role, mark_of(number)) for number, (role, _) in enumerate(turns))
    try:
        plain = render(tokenizer, blank, opened=True)
        around, marks = _split(plain), [mark[0] for mark in _MARK.finditer(plain)]  # as the template writes them
        for number, turn in enumerate(turns):
            if around.order.count(number) != 1:
                return None
            text = render(tokenizer, (*blank[:number], turn, *blank[number + 1 :]), opened=True)
            place = around.order.index(number)
            before = "".join(piece + mark for piece, mark in zip(around.pieces, marks[:place], strict=False))
            before += around.pieces[place]
            after = around.pieces[place + 1]
            after += "".join(
                mark + piece for mark, piece in zip(marks[place + 1 :], around.pieces[place + 2 :], strict=True)
            )
            if len(text) < len(before) + len(after) or not (text.startswith(before) and text.endswith(after)):
                return None
            found.append(text[len(before) : len(text) - len(after)])
    except StageError:
        return None
    return found
