"""From chats to token ids, ready for a response to follow.

Prompt and response are tokenised separately and their ids concatenated, so that the boundary between what is scored
and what is not never falls inside a token. What a turn says is text, also where it spells a special token
(``bench.models.spelling``). A beginning token stands once, and not in the middle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from bench.core.errors import StageError
from bench.core.policy import Chat
from bench.models.rendering import Content, Rendered, continued, filled, rendered
from bench.models.spelling import Encoded, Span, encode_text, natively, spells
from bench.models.turn_end import control_of

PLACEHOLDER = "{prompt}"
_ROLE_NAMES = {"system": "System", "user": "User", "assistant": "Assistant"}


@dataclass(frozen=True)
class LaidOut:
    """A prompt as ids, and which of them are what its turns say, in order; all others are the template's.

    ``contents`` count in ids. A turn that the template writes twice is there twice, one that it leaves out is not, and
    a token that is partly the template's is the template's, unless that part is spaces. It is empty where the template
    does not let contents be found.
    """

    ids: list[int]
    contents: tuple[Content, ...]


def lay_out(tokenizer: PreTrainedTokenizerBase, chat: Chat, template: str) -> LaidOut:
    """Return a prompt as ids, ready for the response's ids to follow, and where its turns' own words stand.

    With a chat template the tokenizer lays out the turns and opens the assistant's turn; a beginning token stands
    there if the template prints one. Otherwise ``{prompt}`` in ``template`` is replaced by ``plain_text(chat)`` and
    the beginning token, when the tokenizer has one, stands exactly once at the front. Raises StageError for a
    template without ``{prompt}``, one that refuses the chat, and a chat that spells a special token where the chat
    template does not show what is its own and what is the chat's.
    """
    return lay_out_all(tokenizer, [chat], template)[0]


def lay_out_all(tokenizer: PreTrainedTokenizerBase, chats: Sequence[Chat], template: str) -> list[LaidOut]:
    """Return the same for several prompts, which takes less time than one by one."""
    texts = [_text_of(tokenizer, chat, template) for chat in chats]
    spelt = [spells(text.text, _said(text), control) for text, control in texts]
    plain = iter(natively(tokenizer, [text.text for (text, _), own in zip(texts, spelt, strict=True) if not own]))
    found = []
    for (text, control), own in zip(texts, spelt, strict=True):
        encoded = encode_text(tokenizer, text.text, _said(text), control) if own else next(plain)
        ahead = _begin(tokenizer, encoded.ids)
        places = ((one.role, encoded.within((one.start, one.stop))) for one in text.contents or ())
        contents = tuple(Content(role, start + len(ahead), stop + len(ahead)) for role, (start, stop) in places)
        found.append(LaidOut([*ahead, *encoded.ids], contents))
    return found


def _said(text: Rendered) -> list[Span]:
    """Return where in a text its turns' own words stand."""
    return [(one.start, one.stop) for one in text.contents or ()]


def prompt_ids(tokenizer: PreTrainedTokenizerBase, chat: Chat, template: str) -> list[int]:
    """Return the ids of a prompt, ready for the response's ids to follow; see ``lay_out``."""
    return opened_ids(tokenizer, chat, template, "")


def opened_ids(tokenizer: PreTrainedTokenizerBase, chat: Chat, template: str, opening: str) -> list[int]:
    """Return the ids of a prompt and the beginning of its response, tokenised as one text; see ``lay_out``."""
    return ids_of_openings(tokenizer, chat, template, [opening])[0]


def ids_within(
    tokenizer: PreTrainedTokenizerBase, chat: Chat, template: str, continuation: str
) -> tuple[list[int], list[int]]:
    """Return the ids of a prompt without the space at its end, and of prompt and continuation as one text.

    As lm-eval reads a chat (HFLM, 0.4.13): what its template lays out is a text like any other, before which stands the
    beginning token where the tokenizer puts one and the template does not. A last turn of the assistant is continued.
    """
    continues = chat[-1].role == "assistant"
    if continues and tokenizer.chat_template is None:
        opened, control = _text_of(tokenizer, chat[:-1], template)
        begun = len(opened.text), len(opened.text) + len(chat[-1].content)
        opened = Rendered(opened.text + chat[-1].content, (*(opened.contents or ()), Content("assistant", *begun)))
    else:
        opened, control = _text_of(tokenizer, chat, template, continued if continues else rendered)
    text = opened.text.rstrip()
    bare = Rendered(text, tuple(_up_to(one, len(text)) for one in opened.contents or ()))
    (before,) = _encoded(tokenizer, bare, [""], control)
    (whole,) = _encoded(tokenizer, opened, [continuation], control)
    ahead = [_begin_as_text(tokenizer, one.ids) for one in (before, whole)]
    return [*ahead[0], *before.ids], [*ahead[1], *whole.ids]


def _up_to(content: Content, length: int) -> Content:
    return Content(content.role, min(content.start, length), min(content.stop, length))


def _begin_as_text(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[int]:
    """Return the beginning token where the tokenizer puts one before a text and none is there."""
    begin = tokenizer.bos_token_id
    if begin is None or list(ids[:1]) == [begin]:
        return []
    puts_one = tokenizer.chat_template is None or tokenizer.encode("")[:1] == [begin]
    return [int(begin)] if puts_one else []


def ids_of_openings(
    tokenizer: PreTrainedTokenizerBase, chat: Chat, template: str, openings: Sequence[str]
) -> list[list[int]]:
    """Return the same for several beginnings of a response; the prompt is laid out once."""
    text, control = _text_of(tokenizer, chat, template)
    found = [one.ids for one in _encoded(tokenizer, text, openings, control)]
    return [[*_begin(tokenizer, ids), *ids] for ids in found]


def _text_of(
    tokenizer: PreTrainedTokenizerBase, chat: Chat, template: str, lays_out: Callable[..., Rendered] = rendered
) -> tuple[Rendered, dict[str, int]]:
    """Return a chat as text, and the control tokens that its contents must not become."""
    if tokenizer.chat_template is None:
        return _plainly(chat, template), control_of(tokenizer, None)
    control = control_of(tokenizer, tokenizer.chat_template)
    found = lays_out(tokenizer, chat)
    if found.contents is None:
        spelt = next((name for name in control if any(name in message.content for message in chat)), None)
        if spelt is not None:
            raise StageError(
                f"the prompt {chat[-1].content[:60]!r} spells the control token {spelt!r}, and the chat template of "
                f"{tokenizer.name_or_path!r} changes what turns say in a way that does not show which are its own. "
                "Take the spelling out of the prompt, or give the model a template that writes turns as they are."
            )
    return found, control


def _encoded(
    tokenizer: PreTrainedTokenizerBase, text: Rendered, openings: Sequence[str], control: dict[str, int]
) -> list[Encoded]:
    """Return a prompt with each beginning of a response; one call where nothing is spelt, for calls cost time."""
    said = _said(text)
    texts = [text.text + opening for opening in openings]
    written = [[*said, (len(text.text), len(whole))] for whole in texts]
    if not any(spells(whole, parts, control) for whole, parts in zip(texts, written, strict=True)):
        return natively(tokenizer, texts)
    return [encode_text(tokenizer, whole, parts, control) for whole, parts in zip(texts, written, strict=True)]


def _begin(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[int]:
    """Return what stands before a plain template's ids: the beginning token, unless it is there already."""
    begin = tokenizer.bos_token_id
    return [] if tokenizer.chat_template is not None or begin is None or list(ids[:1]) == [begin] else [int(begin)]


def _plainly(chat: Chat, template: str) -> Rendered:
    if PLACEHOLDER not in template:
        raise StageError(f"the prompt template {template!r} has no {PLACEHOLDER} in it. Add it where the prompt goes.")
    pieces, order = _plain_layout(chat)
    around = template.split(PLACEHOLDER)
    joined: list[str] = [around[0]]
    for part in around[1:]:
        joined[-1] += pieces[0]
        joined += [*pieces[1:-1], pieces[-1] + part]
    numbers = order * (len(around) - 1)
    return filled(joined, numbers, [message.role for message in chat], [message.content for message in chat])


def _plain_layout(chat: Chat) -> tuple[list[str], list[int]]:
    """Return what stands around the turns of a chat in plain text, and the turns' numbers."""
    if len(chat) == 1 and chat[0].role == "user":
        return ["", ""], [0]
    heads = [f"{_ROLE_NAMES[message.role]}: " for message in chat]
    return [heads[0], *(f"\n\n{head}" for head in heads[1:]), "\n\nAssistant:"], list(range(len(chat)))


def plain_text(chat: Chat) -> str:
    """Return a chat as plain text: one user turn as it is, several turns by the fixed layout below.

    Each turn is ``User: ...``, ``Assistant: ...`` or ``System: ...``, turns are separated by an empty line, and the
    text ends with ``Assistant:``, so a response starts with a space. The layout is this program's own.
    """
    return _plainly(chat, PLACEHOLDER).text
