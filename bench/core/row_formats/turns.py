"""Turns of chats, however they are named: who speaks, and what is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.cells import is_missing, spelt
from bench.core.errors import DataError

Turn = dict[str, str]
USER, ASSISTANT, SYSTEM = "user", "assistant", "system"
# Names of speakers in dumps of ShareGPT, OpenAssistant and OpenAI's API.
_SPEAKERS = {
    "user": USER, "human": USER, "prompter": USER,
    "assistant": ASSISTANT, "gpt": ASSISTANT, "chatgpt": ASSISTANT, "bot": ASSISTANT, "model": ASSISTANT,
    "bing": ASSISTANT, "bard": ASSISTANT,
    "system": SYSTEM, "developer": SYSTEM,
}  # fmt: skip
_WHO, _WHAT = ("role", "from"), ("content", "value")
_TOOLS = ("tool_calls", "function_call")


def turn(role: str, content: str) -> Turn:
    """Return a turn."""
    return {"role": role, "content": content}


def turns_in(value: Any, what: str) -> tuple[list[Turn], tuple[str, ...]]:
    """Return the turns of a list, and what must be told of them; ``what`` is how a message names the cell.

    Raises DataError for a turn without a known speaker or without text, and for a turn of a tool.
    """
    turns = [value] if isinstance(value, Mapping) else value
    if not isinstance(turns, list) or not turns:
        raise DataError(f"{what} is {spelt(value)}, wanted turns")
    unread: set[str] = set()
    found: list[Turn] = []
    for number, one in enumerate(turns, start=1):
        named = f"{what}, turn {number}"
        if isinstance(one, Mapping) and is_exchange(one):
            found += [turn(USER, _said(one["input"], named)), turn(ASSISTANT, _said(one["output"], named))]
        else:
            found.append(_turn(one, named, unread))
    names = ", ".join(f"`{name}`" for name in sorted(unread))
    told = (f"turns have {names}, which is not read",) if unread else ()
    return found, told


def is_exchange(value: Mapping[str, Any]) -> bool:
    """Return whether what the user and what the assistant says stand in one mapping, as in Capybara."""
    return "input" in value and "output" in value and not any(name in value for name in _WHO)


def _turn(value: Any, what: str, unread: set[str]) -> Turn:
    if not isinstance(value, Mapping):
        raise DataError(f"{what} is {spelt(value)}, wanted a mapping with `role` and `content`")
    who = next((name for name in _WHO if name in value), None)
    said = next((name for name in _WHAT if name in value), None)
    if who is None or said is None:
        raise DataError(f"{what} has no `role` and `content`, nor `from` and `value`")
    speaker = value[who]
    if any(value.get(name) for name in _TOOLS) or speaker in ("tool", "function", "function_call", "observation"):
        raise DataError(f"{what} is one of a tool. Calls of tools cannot be trained on: leave such rows out.")
    role = _SPEAKERS.get(speaker.strip().lower()) if isinstance(speaker, str) else None
    if role is None:
        raise DataError(f"{what}: nobody is called {spelt(speaker)}; known: {', '.join(sorted(_SPEAKERS))}")
    unread |= {
        str(name) for name, item in value.items() if name not in (who, said) and not is_missing(item) and item != []
    }
    return turn(role, _said(value[said], what))


def _said(value: Any, what: str) -> str:
    """Return the text of a turn: a text, or OpenAI's list of parts that are all texts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
        texts = [part.get("text") for part in value]
        if all(isinstance(text, str) for text in texts):
            return "".join(str(text) for text in texts)
        raise DataError(f"{what} has a part that is no text; only text can be trained on")
    raise DataError(f"{what} is {spelt(value)}, wanted a text")


def opened(prompt: Any, what: str) -> tuple[list[Turn], tuple[str, ...]]:
    """Return a prompt as turns: a text is one turn of the user."""
    return ([turn(USER, prompt)], ()) if isinstance(prompt, str) else turns_in(prompt, what)


def behind_system(turns: Sequence[Turn], system: Any, what: str) -> list[Turn]:
    """Return the turns behind what a column says for the system; as they are where it says nothing.

    Raises DataError where both have a turn of the system and they differ.
    """
    if is_missing(system):
        return list(turns)
    if not isinstance(system, str):
        raise DataError(f"{what} is {spelt(system)}, wanted a text")
    if turns and turns[0]["role"] == SYSTEM:
        if turns[0]["content"].strip() != system.strip():
            raise DataError(f"{what} is another one than the chat's own turn of the system")
        return list(turns)
    return [turn(SYSTEM, system), *turns]


def split_last(turns: Sequence[Turn]) -> tuple[list[Turn], str] | None:
    """Return what stands before the last turn, and the assistant's text in it; None where that is not the assistant's.

    None too where nothing stands before it.
    """
    if len(turns) < 2 or turns[-1]["role"] != ASSISTANT:
        return None
    return list(turns[:-1]), turns[-1]["content"]
