"""Where a response ends: the token that a chat template writes after an assistant's turn.

A tokenizer's ``eos_token`` often ends a document and not a turn, so the end is found by rendering: the first control
token behind an assistant's turn, where it is the last one and where another follows. What the template writes between
the response and that token (Llama 2 writes a space) belongs to what a model learns to write, as does what it writes
between the opened turn and the response (Llama 2 a space, gpt-oss ``<|channel|>final<|message|>``). Without a template
it is ``eos_token``, and with one that writes no end, or in which none can be found, the log says so.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from os.path import commonprefix

from transformers import PreTrainedTokenizerBase

from bench.core.errors import StageError
from bench.models.rendering import skeleton_of
from bench.models.spelling import control_tokens, first_control

log = logging.getLogger(__name__)

_TURNS = ("user", "assistant")


@dataclass(frozen=True)
class TurnEnd:
    """How an assistant's turn stands in a chat.

    ``token`` ends it. ``opening`` is what the template writes before the response and not when it opens the turn;
    ``closing`` is what it writes between the response and the end. ``tail`` is what it writes to open the turn.
    """

    token: int
    opening: str = ""
    closing: str = ""
    tail: str = ""


@lru_cache(maxsize=64)
def turn_end(tokenizer: PreTrainedTokenizerBase, template: str | None, end_token: str | None) -> TurnEnd:
    """Return how a turn ends; ``template`` is the tokenizer's chat template, ``end_token`` overrides what it writes.

    Raises StageError where nothing says how a turn ends, and for an ``end_token`` that is no token.
    """
    control = control_of(tokenizer, template)
    chosen = None if end_token is None else _known(tokenizer, end_token)
    named = control if chosen is None or end_token is None else {end_token: chosen}
    closing, token = ("", None) if template is None else _written(tokenizer, template, named)
    token = token if chosen is None else chosen
    if token is None and template is not None and tokenizer.eos_token_id is not None:
        log.warning(
            "%s: its chat template shows no token that it writes after an assistant's turn, so a response ends with "
            "eos_token, %r; set `end_token:` beside the model where that is another one",
            tokenizer.name_or_path,
            tokenizer.eos_token,
        )
    token = tokenizer.eos_token_id if token is None else token
    if token is None:
        raise StageError(
            f"the tokenizer {tokenizer.name_or_path!r} has no end token (eos_token), and no chat template that writes "
            "one after an assistant's turn, so a response cannot end. Set `end_token:` beside the model."
        )
    opening, tail = ("", "") if template is None else _opened(tokenizer, template)
    return TurnEnd(int(token), opening, closing, tail)


def around(tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    """Return the special tokens, spelt, that a tokenizer puts before and behind a text by itself."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    start = next((place for place in range(len(whole)) if whole[place : place + len(bare)] == bare), None)
    if start is None:
        return "", ""
    spelt = ["".join(tokenizer.convert_ids_to_tokens(ids)) for ids in (whole[:start], whole[start + len(bare) :])]
    return spelt[0], spelt[1]


@lru_cache(maxsize=64)
def control_of(tokenizer: PreTrainedTokenizerBase, template: str | None) -> dict[str, int]:
    """Return spelling and id of the control tokens, those among them by which the chat template parts turns."""
    skeletons = (
        None if template is None else skeleton_of(tokenizer, template, roles, opened=False)
        for roles in (("system", *_TURNS, "user"), (*_TURNS, "user"), ("user",))
    )
    found = next((one for one in skeletons if one is not None), None)
    return control_tokens(tokenizer, "" if found is None else "\n".join(found.pieces))


def _known(tokenizer: PreTrainedTokenizerBase, end_token: str) -> int:
    number = tokenizer.get_vocab().get(end_token)
    if number is None:
        raise StageError(
            f"end_token {end_token!r} is no token of {tokenizer.name_or_path!r}. Name one of its vocabulary, such as "
            f"{', '.join(sorted(map(repr, tokenizer.all_special_tokens))[:8])}."
        )
    return int(number)


def _written(tokenizer: PreTrainedTokenizerBase, template: str, control: dict[str, int]) -> tuple[str, int | None]:
    """Return what the template writes behind a response up to its end, and the end; None where it writes none."""
    last = skeleton_of(tokenizer, template, _TURNS, opened=False)
    between, closes = _between(tokenizer, template)
    if last is not None and last.order == (0, 1):
        behind = last.pieces[2]
        found = first_control(behind, control)
        # A template may open the next turn unasked: what also opens turns ends one only where it stands in both forms.
        if found is not None:
            start, stop = found
            end = behind[start:stop]
            if (
                end == tokenizer.eos_token
                or end not in _opened_by(tokenizer, template)
                or between.startswith(behind[:stop])
            ):
                return behind[:start], control[end]
    found = first_control(between, control)
    if found is None or found[0] >= closes:
        return "", None
    return between[: found[0]], control[between[found[0] : found[1]]]


def _between(tokenizer: PreTrainedTokenizerBase, template: str) -> tuple[str, int]:
    """Return what stands between a response and the turn that follows, and where in it the opening of that begins."""
    first = skeleton_of(tokenizer, template, ("user",), opened=False)
    followed = skeleton_of(tokenizer, template, (*_TURNS, "user"), opened=False)
    if followed is None or followed.order != (0, 1, 2) or first is None:
        return "", 0
    between = followed.pieces[2]
    return between, len(between) - len(commonprefix([between[::-1], first.pieces[0][::-1]]))


def _opened_by(tokenizer: PreTrainedTokenizerBase, template: str) -> str:
    opened = skeleton_of(tokenizer, template, ("user",), opened=True)
    return "" if opened is None else "\n".join(opened.pieces)


def _opened(tokenizer: PreTrainedTokenizerBase, template: str) -> tuple[str, str]:
    """Return what stands between an opened turn and its response, and what opens the turn."""
    opened = skeleton_of(tokenizer, template, ("user",), opened=True)
    if opened is None or opened.order != (0,):
        return "", ""
    tail = opened.pieces[1]
    last = skeleton_of(tokenizer, template, _TURNS, opened=False)
    # A template that lays out one turn in another way than two says nothing of what follows the one.
    alike = last is not None and last.order == (0, 1) and last.pieces[0] == opened.pieces[0]
    if last is None or not alike or not last.pieces[1].startswith(tail):
        return "", tail
    return last.pieces[1][len(tail) :], tail
