"""From chats and responses to token ids and back.

Prompt and response are tokenised separately and their ids concatenated, so that the boundary between what is scored
and what is not never falls inside a token. Two things would go wrong if that were done naively: a beginning token
could stand twice or in the middle, and a SentencePiece-like tokenizer would put its dummy space before the response.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from transformers import PreTrainedTokenizerBase

from bench.core.errors import StageError
from bench.core.policy import Chat

PLACEHOLDER = "{prompt}"
_ROLE_NAMES = {"system": "System", "user": "User", "assistant": "Assistant"}
# Texts that may stand before a response while it is tokenised; the first that the tokenizer keeps apart is used.
_ANCHORS = ("\n", ".", "x")
_PROBES = ("a", " a", "Once", " Once")


def prompt_ids(tokenizer: PreTrainedTokenizerBase, chat: Chat, template: str) -> list[int]:
    """Return the ids of a prompt, ready for the response's ids to follow.

    With a chat template the tokenizer lays out the turns and opens the assistant's turn; a beginning token stands
    there if the template prints one. Otherwise ``{prompt}`` in ``template`` is replaced by ``plain_text(chat)`` and
    the beginning token, when the tokenizer has one, stands exactly once at the front. Raises StageError for a
    template without ``{prompt}``.
    """
    return opened_ids(tokenizer, chat, template, "")


def opened_ids(tokenizer: PreTrainedTokenizerBase, chat: Chat, template: str, opening: str) -> list[int]:
    """Return the ids of a prompt and the beginning of its response, tokenised as one text; see ``prompt_ids``."""
    return ids_of_openings(tokenizer, chat, template, [opening])[0]


def ids_of_openings(
    tokenizer: PreTrainedTokenizerBase, chat: Chat, template: str, openings: Sequence[str]
) -> list[list[int]]:
    """Return the same for several beginnings of a response; the prompt is laid out once."""
    if tokenizer.chat_template is not None:
        turns = [{"role": message.role, "content": message.content} for message in chat]
        text = str(tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False))
        return _encode_each(tokenizer, [text + opening for opening in openings])
    if PLACEHOLDER not in template:
        raise StageError(f"the prompt template {template!r} has no {PLACEHOLDER} in it. Add it where the prompt goes.")
    text = template.replace(PLACEHOLDER, plain_text(chat))
    begin = tokenizer.bos_token_id
    found = _encode_each(tokenizer, [text + opening for opening in openings])
    return [ids if begin is None or ids[:1] == [begin] else [begin, *ids] for ids in found]


def plain_text(chat: Chat) -> str:
    """Return a chat as plain text: one user turn as it is, several turns by the fixed layout below.

    Each turn is ``User: ...``, ``Assistant: ...`` or ``System: ...``, turns are separated by an empty line, and the
    text ends with ``Assistant:``, so a response starts with a space. The layout is this program's own.
    """
    if len(chat) == 1 and chat[0].role == "user":
        return chat[0].content
    turns = [f"{_ROLE_NAMES[message.role]}: {message.content}" for message in chat]
    return "\n\n".join([*turns, "Assistant:"])


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
