"""From chats to token ids, ready for a response to follow.

Prompt and response are tokenised separately and their ids concatenated, so that the boundary between what is scored
and what is not never falls inside a token. What a turn says is text, also where it spells a special token
(``bench.models.spelling``). A beginning token stands once, and not in the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from transformers import PreTrainedTokenizerBase

from bench.core.errors import StageError
from bench.core.policy import Chat
from bench.models.rendering import Content, Rendered, filled, rendered, skeleton_of
from bench.models.spelling import Encoded, Span, control_tokens, encode_text, natively, spells

PLACEHOLDER = "{prompt}"
_ROLE_NAMES = {"system": "System", "user": "User", "assistant": "Assistant"}
# Texts that may stand before a response while it is tokenised; the first that the tokenizer keeps apart is used.
_ANCHORS = ("\n", ".", "x")
_PROBES = ("a", " a", "Once", " Once")


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
    text, control = _text_of(tokenizer, chat, template)
    (encoded,) = _encoded(tokenizer, text, [""], control)
    places = [encoded.within((one.start, one.stop)) for one in text.contents or ()]
    ahead = _begin(tokenizer, encoded.ids)
    contents = [
        Content(one.role, start + len(ahead), stop + len(ahead))
        for one, (start, stop) in zip(text.contents or (), places, strict=True)
    ]
    return LaidOut([*ahead, *encoded.ids], tuple(contents))


def prompt_ids(tokenizer: PreTrainedTokenizerBase, chat: Chat, template: str) -> list[int]:
    """Return the ids of a prompt, ready for the response's ids to follow; see ``lay_out``."""
    return opened_ids(tokenizer, chat, template, "")


def opened_ids(tokenizer: PreTrainedTokenizerBase, chat: Chat, template: str, opening: str) -> list[int]:
    """Return the ids of a prompt and the beginning of its response, tokenised as one text; see ``lay_out``."""
    return ids_of_openings(tokenizer, chat, template, [opening])[0]


def ids_of_openings(
    tokenizer: PreTrainedTokenizerBase, chat: Chat, template: str, openings: Sequence[str]
) -> list[list[int]]:
    """Return the same for several beginnings of a response; the prompt is laid out once."""
    text, control = _text_of(tokenizer, chat, template)
    found = [one.ids for one in _encoded(tokenizer, text, openings, control)]
    return [[*_begin(tokenizer, ids), *ids] for ids in found]


def _text_of(tokenizer: PreTrainedTokenizerBase, chat: Chat, template: str) -> tuple[Rendered, dict[str, int]]:
    """Return a chat as text, and the control tokens that its contents must not become."""
    if tokenizer.chat_template is None:
        return _plainly(chat, template), _control(tokenizer, None)
    control = _control(tokenizer, tokenizer.chat_template)
    found = rendered(tokenizer, chat)
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
    said: list[Span] = [(one.start, one.stop) for one in text.contents or ()]
    texts = [text.text + opening for opening in openings]
    written = [[*said, (len(text.text), len(whole))] for whole in texts]
    if not any(spells(whole, parts, control) for whole, parts in zip(texts, written, strict=True)):
        return natively(tokenizer, texts)
    return [encode_text(tokenizer, whole, parts, control) for whole, parts in zip(texts, written, strict=True)]


def _begin(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[int]:
    """Return what stands before a plain template's ids: the beginning token, unless it is there already."""
    begin = tokenizer.bos_token_id
    return [] if tokenizer.chat_template is not None or begin is None or list(ids[:1]) == [begin] else [int(begin)]


@lru_cache(maxsize=32)
def _control(tokenizer: PreTrainedTokenizerBase, template: str | None) -> dict[str, int]:
    """Return the control tokens, those among them by which the chat template parts turns."""
    written = ""
    if template is not None:
        for roles in (("system", "user", "assistant", "user"), ("user", "assistant", "user"), ("user",)):
            skeleton = skeleton_of(tokenizer, template, roles, opened=False)
            if skeleton is not None:
                written += "\n".join(skeleton.pieces)
                break
    return control_tokens(tokenizer, written)


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


def response_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Return the ids of a response that follows a prompt, without a beginning token, and the end token.

    A tokenizer that puts a dummy space before every text (SentencePiece) would give ``Once`` and `` Once`` the ids of
    `` Once`` and ``  Once``. For these the response is tokenised behind an anchor whose ids are then taken off, which
    gives the ids the response has in the middle of a text. Raises StageError when the tokenizer has no end token.
    """
    end = tokenizer.eos_token_id
    if end is None:
        raise StageError(
            f"the tokenizer {tokenizer.name_or_path!r} has no end token, so a response cannot end. "
            "Set eos_token in its tokenizer_config.json."
        )
    return [*_continuation_ids(tokenizer, text), end]


def response_text(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """Return the text of generated ids without special tokens; a leading space is kept."""
    special = set(tokenizer.all_special_ids)
    kept = [token for token in ids if token not in special]
    anchor = _anchor(tokenizer)
    if anchor is None:
        return _decode(tokenizer, kept)
    before = _encode(tokenizer, anchor)
    return _decode(tokenizer, [*before, *kept])[len(_decode(tokenizer, before)) :]


def _continuation_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    anchor = _anchor(tokenizer)
    if anchor is None or not text:
        return _encode_literally(tokenizer, text)
    before = _encode(tokenizer, anchor)
    return _encode_literally(tokenizer, anchor + text)[len(before) :]


@lru_cache(maxsize=16)
def _anchor(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Return the text to put before a response, or None for a tokenizer that treats the start of a text as any place.

    Found by behaviour, because the dummy space can come from a normalizer, a pre-tokenizer or a model option. An
    anchor is of use when every probe behind it leaves its ids alone and gets other ids than it gets by itself.
    """
    unknown = tokenizer.unk_token_id
    probes = [probe for probe in _PROBES if unknown not in _encode(tokenizer, probe)]
    for anchor in _ANCHORS:
        before = _encode(tokenizer, anchor)
        joined = [_encode(tokenizer, anchor + probe) for probe in probes]
        if before and unknown not in before and all(ids[: len(before)] == before for ids in joined):
            alone = [_encode(tokenizer, probe) for probe in probes]
            return None if [before + ids for ids in alone] == joined else anchor
    return None


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return _encode_each(tokenizer, [text])[0]


def _encode_each(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    found = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    return [[int(token) for token in ids] for ids in found]


def _encode_literally(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Return the ids of a text in which the spelling of a special token is mere text."""
    encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
    return [int(token) for token in encoded["input_ids"]]


def _decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))
