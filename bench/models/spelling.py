"""Text to token ids where text is text: what spells a control token does not become one.

A control token is a special token of the tokenizer, or an added token by which the chat template parts turns and which
the tokenizer does not call special (DeepSeek's ``<｜User｜>``). A template writes control tokens; whoever writes a
prompt or a response only spells them. Where nothing is spelt, ids are what the tokenizer itself gives for the whole
text. Otherwise the text is tokenised by a copy of the tokenizer in which every control token has another spelling, that
no text has; what the template wrote is respelt, and what a person or a model wrote is not. So all else (dummy spaces,
spaces that a token swallows, byte pieces) is as the tokenizer does it, on both sides of a control token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from bench.core.errors import StageError

# Letters without case, composition or accents, so that normalizers leave them alone; one that the text lacks is used.
_MARKS = tuple(chr(code) for code in range(0x13000, 0x13010))

Span = tuple[int, int]


@dataclass(frozen=True)
class Encoded:
    """A text as ids, and which of its characters each id stands for, as half-open ranges."""

    text: str
    ids: list[int]
    places: list[Span]

    def within(self, span: Span) -> Span:
        """Return the range of ids that stand for characters of ``span`` and for no others but spaces; maybe empty.

        Many tokenizers write a word and the space before it as one token, and the space may be the template's.
        """
        start, stop = span
        count = len(self.places)
        begin = next((number for number in range(count) if self._belongs(self.places[number], start, stop)), None)
        if begin is None:
            before = sum(1 for _, last in self.places if last <= start)
            return before, before
        end = next(number for number in range(count, begin, -1) if self._belongs(self.places[number - 1], start, stop))
        return begin, end

    def _belongs(self, place: Span, start: int, stop: int) -> bool:
        first, last = place
        if first >= stop or last <= start or first >= last or start >= stop:
            return False
        around = self.text[first : max(first, start)] + self.text[min(last, stop) : last]
        return not around.strip()


def control_tokens(tokenizer: PreTrainedTokenizerBase, skeleton: str = "") -> dict[str, int]:
    """Return spelling and id of the control tokens; ``skeleton`` is what a template writes around the turns.

    Of the added tokens that are not special, those in ``skeleton`` count that look like a tag: they begin and end with
    a mark and have a letter between.
    """
    found = {str(token): int(tokenizer.convert_tokens_to_ids(token)) for token in tokenizer.all_special_tokens}
    for number, token in tokenizer.added_tokens_decoder.items():
        if token.special or (token.content in skeleton and _TAG.fullmatch(token.content)):
            found[token.content] = int(number)
    return found


_TAG = re.compile(r"[^\w\s].*[^\W\d_].*[^\w\s]", re.DOTALL)


def encode_text(
    tokenizer: PreTrainedTokenizerBase, text: str, written: Sequence[Span], control: dict[str, int]
) -> Encoded:
    """Return the ids of a text in which the parts ``written`` (ranges of characters, in order) are mere text.

    Raises StageError for a tokenizer whose control tokens cannot be told from their spelling.
    """
    if not spells(text, written, control):
        return natively(tokenizer, [text])[0]
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        return _in_pieces(tokenizer, text, written, control)
    mark = next((mark for mark in _MARKS if mark not in text), None)
    if mark is None:
        raise StageError(f"a text holds every one of {''.join(_MARKS)}, of which one is needed. Leave one out.")
    copy = _respelt(tokenizer, tuple(control), mark)
    pieces, shifts = _respell(text, written, copy.names)
    encoding = copy.tokenizer.encode("".join(pieces), add_special_tokens=False)
    ids = [copy.numbers.get(number, number) for number in encoding.ids]
    return Encoded(text, ids, [(shifts[first], shifts[last]) for first, last in encoding.offsets])


def spells(text: str, written: Sequence[Span], control: dict[str, int]) -> bool:
    """Return whether a control token is spelt in the parts ``written`` of a text, or partly in one of them."""
    spelt = _occurrences(text, control)
    return any(first < stop and start < last for first, last in spelt for start, stop in written)


def first_control(text: str, control: dict[str, int]) -> Span | None:
    """Return where the first control token of a text stands, or None."""
    return next(iter(_occurrences(text, control)), None)


def spelt_apart(text: str, control: Iterable[str]) -> str:
    """Return a text in which no control token is spelt: a space stands behind the first character of what spells one.

    For models that read pairs of texts with control tokens of their own between them, where ids cannot be put together.
    """
    pattern = _pattern(tuple(control))
    return text if pattern is None else pattern.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)


def natively(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[Encoded]:
    """Return the ids of each text as the tokenizer gives them, control tokens where they are spelt."""
    if not texts:
        return []
    found = tokenizer(list(texts), add_special_tokens=False, verbose=False, return_offsets_mapping=tokenizer.is_fast)
    ids = found["input_ids"]
    if tokenizer.is_fast:
        places = found["offset_mapping"]
    else:
        # A tokenizer in Python says nothing of characters: a token stands for the whole text.
        places = [[(0, len(text))] * len(row) for text, row in zip(texts, ids, strict=True)]
    return [Encoded(*one) for one in zip(texts, ids, places, strict=True)]


def ids_of_texts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Return the ids of each text as the tokenizer gives them; see ``natively``, which takes longer."""
    own = type(tokenizer)
    as_is = isinstance(tokenizer, PreTrainedTokenizerFast) and (
        own.__call__ is PreTrainedTokenizerFast.__call__ and own._encode_plus is PreTrainedTokenizerFast._encode_plus
    )
    # Its own call first: it settles how its inner tokenizer reads control tokens, and that nothing is cut or filled up.
    tried = [""] if as_is else list(texts)
    found: list[list[int]] = tokenizer(tried, add_special_tokens=False, verbose=False)["input_ids"]
    if not as_is:
        return found
    return [one.ids for one in tokenizer.backend_tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


def decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """Return the text of ids, special tokens spelt out."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def decoded(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Sequence[int]]) -> list[str]:
    """Return the texts of rows of ids, as ``decode`` gives them one by one; in one call where that is the same."""
    own = type(tokenizer)
    plain = isinstance(tokenizer, PreTrainedTokenizerFast) and (
        own.decode is PreTrainedTokenizerFast.decode and own._decode is PreTrainedTokenizerFast._decode
    )
    if not plain:
        return [decode(tokenizer, row) for row in rows]
    found: list[str] = tokenizer.backend_tokenizer.decode_batch([list(row) for row in rows], skip_special_tokens=False)
    return found


def _in_pieces(
    tokenizer: PreTrainedTokenizerBase, text: str, written: Sequence[Span], control: dict[str, int]
) -> Encoded:
    """Return the ids for a tokenizer in Python: cut at what the template wrote, literal between."""
    ids: list[int] = []
    places: list[Span] = []
    cuts = [
        place for place in _occurrences(text, control) if not any(a < place[1] and place[0] < b for a, b in written)
    ]
    at = 0
    for first, last in [*cuts, (len(text), len(text))]:
        between = tokenizer(text[at:first], add_special_tokens=False, split_special_tokens=True, verbose=False)
        literal = [int(token) for token in between["input_ids"]]
        if set(literal) & set(control.values()) - {tokenizer.unk_token_id}:
            raise StageError(
                f"the tokenizer {tokenizer.name_or_path!r} makes a control token of text that spells one: "
                f"{text[at:first][:80]!r}. Use its fast form (tokenizer.json), or take the spelling out of the text."
            )
        here = [control[text[first:last]]] if last > first else []
        ids += [*literal, *here]
        places += [(at, first)] * len(literal) + [(first, last)] * len(here)
        at = last
    return Encoded(text, ids, places)


def _occurrences(text: str, control: Iterable[str]) -> list[Span]:
    pattern = _pattern(tuple(control))
    return [] if pattern is None else [match.span() for match in pattern.finditer(text)]


@lru_cache(maxsize=32)
def _pattern(spellings: tuple[str, ...]) -> re.Pattern[str] | None:
    longest_first = sorted((spelling for spelling in spellings if spelling), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def _respell(text: str, written: Sequence[Span], names: dict[str, str]) -> tuple[list[str], list[int]]:
    """Return a text in pieces, what the template wrote respelt, and for each new character boundary the old one."""
    own: list[Span] = []
    at = 0
    for start, stop in [*written, (len(text), len(text))]:
        own += [(first + at, last + at) for first, last in _occurrences(text[at:start], names)]
        at = stop
    pieces: list[str] = []
    shifts: list[int] = []
    at = 0
    for first, last in own:
        name = names[text[first:last]]
        pieces += [text[at:first], name]
        shifts += [*range(at, first), *[first] * len(name)]
        at = last
    return [*pieces, text[at:]], [*shifts, *range(at, len(text) + 1)]


@dataclass(frozen=True)
class _Respelt:
    """A tokenizer with other spellings: ``names`` old to new, ``numbers`` its ids to the original's, where other."""

    tokenizer: Tokenizer
    names: dict[str, str]
    numbers: dict[int, int]


@lru_cache(maxsize=16)
def _respelt(tokenizer: PreTrainedTokenizerFast, spellings: tuple[str, ...], mark: str) -> _Respelt:
    names = {spelling: f"{mark}{number}{mark}" for number, spelling in enumerate(spellings) if spelling}
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    content |= {"post_processor": None, "truncation": None, "padding": None}
    old = {token["content"]: int(token["id"]) for token in content["added_tokens"]}
    for token in content["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    _respell_model(content["model"], names)
    copy = Tokenizer.from_str(json.dumps(content))
    numbers: dict[int, int] = {}
    for spelling, number in old.items():
        new = copy.token_to_id(names.get(spelling, spelling))
        if new is not None and new != number:
            numbers[new] = number
    return _Respelt(copy, names, numbers)


def _respell_model(model: dict[str, Any], names: dict[str, str]) -> None:
    """Respell the vocabulary of a model as its JSON has it: a piece that is a control token must not match text."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        model["vocab"] = {names.get(piece, piece): number for piece, number in vocabulary.items()}
    else:
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    if "merges" in model:
        pairs = [merge.split(" ", 1) if isinstance(merge, str) else merge for merge in model["merges"]]
        model["merges"] = [pair for pair in pairs if not {*pair, "".join(pair)} & names.keys()]
