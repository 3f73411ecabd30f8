"""From responses to token ids, without a beginning token and with their end, and back."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from bench.core.lengths import SpellingCounts
from bench.models.spelling import decode, decoded, encode_text, ids_of_texts, natively, spells
from bench.models.turn_end import TurnEnd, around, control_of, turn_end

log = logging.getLogger(__name__)

# Texts that may stand before a response while it is tokenised; the first that the tokenizer keeps apart is used.
_ANCHORS = ("\n", ".", "x", "0", "(")
# How many responses of a kind there are when the log says so.
_TOLD = (1, 10, 100, 1_000, 10_000, 100_000)
_PROBES = ("a", " a", "Once", " Once")


@dataclass(frozen=True)
class Spelling:
    """Which texts do not come back from their tokens as they were, and which spell special tokens: their digests."""

    changed: frozenset[str] = frozenset()
    spelt: frozenset[str] = frozenset()


class ResponseTokens:
    """How one tokenizer writes responses.

    A tokenizer that puts a dummy space before every text (SentencePiece) would give ``Once`` and `` Once`` the ids of
    `` Once`` and ``  Once``. So a response is tokenised behind an anchor whose ids are then taken off: behind what the
    chat template writes to open the turn, or else behind a short text, of several the first with which no token lies
    across the border and from whose ids the response comes back as it was.

    What a template writes between the opened turn and the response (spaces; gpt-oss's ``<|channel|>final<|message|>``)
    is learnt as the beginning of a response, and is not part of its text.

    ``end`` is the token that ends a response (``bench.models.turn_end``). The log says how many different responses the
    tokenizer cannot give back as they were (``changed``), because it normalises text or does not know a character, and
    in how many a policy wrote a special token before the end; ``counts`` has the former for a stage to tell.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, end_token: str | None = None) -> None:
        form = self._turn(tokenizer, end_token)
        self.tokenizer = tokenizer
        self.end = form.token
        self._changed: set[str] = set()
        self._spelling: set[str] = set()
        self._special_written = 0
        self._form = form
        self._control = dict(control_of(tokenizer, tokenizer.chat_template))
        if end_token is not None:
            self._control[end_token] = form.token
        self._special = frozenset(self._control.values())
        self._apart, self._anchors = self._stands_behind(tokenizer, form)
        self._before = {anchor: natively(tokenizer, [anchor])[0].ids for anchor in ("", *self._anchors)}
        self._shown = len(decode(tokenizer, self._before[self._apart or ""]))
        self._prefix = self._ahead()
        self._opening = natively(tokenizer, [form.opening])[0].ids if form.opening.strip() else []

    def _turn(self, tokenizer: PreTrainedTokenizerBase, end_token: str | None) -> TurnEnd:
        """Return how a response's turn is written around it."""
        return turn_end(tokenizer, tokenizer.chat_template, end_token)

    def _stands_behind(self, tokenizer: PreTrainedTokenizerBase, form: TurnEnd) -> tuple[str | None, tuple[str, ...]]:
        """Return what keeps the start of a text apart, and the anchors behind which responses are tokenised."""
        apart = _anchor(tokenizer)
        generic = ("",) if apart is None else (apart,)
        return apart, tuple(dict.fromkeys([*([form.tail] if form.tail else []), *generic, *_ANCHORS]))

    def ids(self, text: str) -> list[int]:
        """Return the ids of a response that follows a prompt, its end token last; what it spells is mere text."""
        return self.ids_of([text])[0]

    def ids_of(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the same for several responses, which takes less time than one by one."""
        return [[*ids, self.end] for ids in self._written(texts, self._form.closing, (self.end,))]

    def cut_ids(self, text: str) -> list[int]:
        """Return the ids of a response that was cut off: neither its end nor what stands before that follows."""
        return self.cut_ids_of([text])[0]

    def cut_ids_of(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the same for several responses."""
        return self._written(texts, "", ())

    @property
    def changed(self) -> int:
        """How many different responses do not come back from their tokens as they were."""
        return len(self._changed)

    def counts(self) -> SpellingCounts:
        """Return what there is to tell of the responses that were turned into tokens."""
        return SpellingCounts(changed=self.changed, spelt=len(self._spelling))

    def spelling_of(self, texts: Iterable[str]) -> Spelling:
        """Return what there is to tell of these texts, of those that were turned into tokens."""
        marks = {_mark(text) for text in texts}
        return Spelling(frozenset(marks & self._changed), frozenset(marks & self._spelling))

    def remember(self, spelling: Spelling) -> None:
        """Count texts of which the tokens were kept as if they were turned into tokens now."""
        self._changed |= spelling.changed
        self._spelling |= spelling.spelt

    def _written(self, texts: Sequence[str], closing: str, end: tuple[int, ...]) -> list[list[int]]:
        """Return the ids of texts, each behind the first anchor from which it comes back, or behind the first that can.

        All texts are tried behind one anchor in one call, and those that do not come back behind the next.
        """
        self._spelling |= {_mark(text) for text in texts if spells(text, [(0, len(text))], self._control)}
        found: dict[int, list[int]] = {}
        left = list(range(len(texts)))
        for anchor in self._anchors:
            behind = self._behind(anchor, [texts[number] for number in left], closing)
            tried = [(number, ids) for number, ids in zip(left, behind, strict=True) if ids is not None]
            back = self._read_all([[*ids, *end] for _, ids in tried], end)
            right = {number for (number, _), text in zip(tried, back, strict=True) if text == texts[number]}
            found |= {number: ids for number, ids in tried if number in right or number not in found}
            left = [number for number in left if number not in right]
            if not left:
                break
        for number in left:
            self._lost(texts[number])
        bare = [number for number in left if number not in found]
        for number, ids in zip(bare, self._behind("", [texts[one] for one in bare], closing), strict=True):
            found[number] = ids or []
        return [found[number] for number in range(len(texts))]

    def _lost(self, text: str) -> None:
        """Count a text that does not come back from its tokens."""
        if (mark := _mark(text)) not in self._changed:
            self._changed.add(mark)
            one, several = "does not come back from its tokens as it was", "do not come back from theirs as they were"
            lost = "(spaces or characters are lost)"
            self._tell(self.changed, f"response {one} {lost}", f"responses {several} {lost}", text)

    def text(self, ids: Sequence[int], ends: Collection[int]) -> str:
        """Return the text of generated ids, of which the last may be one of ``ends``; a leading space is kept.

        A special token before the end is spelt out, since the policy wrote it: rewards and judges read it as text.
        """
        text = self._read(ids, ends)
        if self.holds_special(ids, ends):
            self._special_written += 1
            said_of = "special tokens before the end; they are spelt out and read as text"
            self._tell(self._special_written, f"response holds {said_of}", f"responses hold {said_of}", text)
        return text

    def holds_special(self, ids: Sequence[int], ends: Collection[int]) -> bool:
        """Return whether there is a special token in generated ids before their end and behind the template's own."""
        said = ids[:-1] if ids and ids[-1] in ends else ids
        said = said[len(self._opening) :] if list(said[: len(self._opening)]) == self._opening else said
        return not self._special.isdisjoint(said)

    def _read(self, ids: Sequence[int], ends: Collection[int]) -> str:
        return self._read_all([ids], ends)[0]

    def _read_all(self, rows: Sequence[Sequence[int]], ends: Collection[int]) -> list[str]:
        ended = [len(ids) > 0 and ids[-1] in ends for ids in rows]
        texts = self._decoded([ids[:-1] if over else ids for ids, over in zip(rows, ended, strict=True)])
        return [self._as_said(text, ended=over) for text, over in zip(texts, ended, strict=True)]

    def _as_said(self, text: str, *, ended: bool) -> str:
        # The tokenizer's own space behind the opening is not there where nothing follows.
        text = text.removeprefix(self._prefix if text.startswith(self._prefix) else self._prefix.rstrip(" "))
        return text.removesuffix(self._form.closing) if ended else text

    def _tell(self, count: int, of_one: str, of_several: str, text: str) -> None:
        if count in _TOLD:
            what = of_one if count == 1 else of_several
            log.warning("%s: %d %s; the latest begins %r", self.tokenizer.name_or_path, count, what, text[:60])

    def _decoded(self, rows: Sequence[Sequence[int]]) -> list[str]:
        if self._apart is None:
            return decoded(self.tokenizer, rows)
        before = self._before[self._apart]
        return [text[self._shown :] for text in decoded(self.tokenizer, [[*before, *ids] for ids in rows])]

    def _behind(self, anchor: str, texts: Sequence[str], closing: str) -> list[list[int] | None]:
        """Return the ids of each response behind an anchor, or None where a token lies across the border."""
        before = self._before[anchor]
        ahead = anchor + self._form.opening
        joined = [f"{ahead}{text}{closing}" for text in texts]
        said = [[(len(ahead), len(ahead) + len(text))] for text in texts]
        plain = [not spells(whole, parts, self._control) for whole, parts in zip(joined, said, strict=True)]
        natural = iter(ids_of_texts(self.tokenizer, [whole for whole, own in zip(joined, plain, strict=True) if own]))
        found = [
            next(natural) if own else encode_text(self.tokenizer, whole, parts, self._control).ids
            for whole, parts, own in zip(joined, said, plain, strict=True)
        ]
        return [ids[len(before) :] if ids[: len(before)] == before else None for ids in found]

    def _ahead(self) -> str:
        """Return how what stands before a response's text reads: the opening, and spaces that the tokenizer puts there.

        SentencePiece puts one behind the template's control tokens, those that open the turn and those of the opening.
        """
        opening = self._form.opening
        if self._apart is None or not self._form.tail:
            return opening
        (ids,) = self._behind(self._form.tail, ["a"], "")
        found = "" if ids is None else self._decoded([ids])[0].removesuffix("a")
        return found if found.replace(" ", "") == opening.replace(" ", "") else opening


class TextTokens(ResponseTokens):
    """How one tokenizer writes responses that are texts of their own: those of an encoder-decoder.

    Nothing stands before such a response but the token that the decoder begins with, so it is tokenised as the
    tokenizer does with any text, with what it puts in front of one (BART's ``<s>``), and ends with the tokenizer's
    ``eos_token`` unless ``end_token`` names another.
    """

    def _turn(self, tokenizer: PreTrainedTokenizerBase, end_token: str | None) -> TurnEnd:
        found = turn_end(tokenizer, tokenizer.chat_template, end_token)
        return TurnEnd(found.token, opening=around(tokenizer)[0])

    def _stands_behind(self, tokenizer: PreTrainedTokenizerBase, form: TurnEnd) -> tuple[str | None, tuple[str, ...]]:
        del tokenizer, form
        return None, ("",)


def tokens_of(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, end_token: str | None) -> ResponseTokens:
    """Return how responses of a model are written; the same object where it is asked again."""
    make = text_tokens if config.is_encoder_decoder else response_tokens
    return make(tokenizer, tokenizer.chat_template, end_token)


@lru_cache(maxsize=16)
def text_tokens(tokenizer: PreTrainedTokenizerBase, template: str | None, end_token: str | None) -> TextTokens:
    """Return how a tokenizer writes responses that are texts of their own; the same object where asked again."""
    del template  # as in ``response_tokens``
    return TextTokens(tokenizer, end_token)


def _mark(text: str) -> str:
    """Return what a text is known by: its digest, so that many take little room; surrogates count as they are."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@lru_cache(maxsize=16)
def response_tokens(tokenizer: PreTrainedTokenizerBase, template: str | None, end_token: str | None) -> ResponseTokens:
    """Return how a tokenizer with this chat template writes responses; the same object where it is asked again."""
    del template  # the tokenizer's own, named so that another one is not taken for it
    return ResponseTokens(tokenizer, end_token)


@lru_cache(maxsize=16)
def _anchor(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Return the text to put before a response, or None for a tokenizer that treats the start of a text as any place.

    Found by behaviour, because the dummy space can come from a normalizer, a pre-tokenizer or a model option. An
    anchor is of use when every probe behind it leaves its ids alone and gets other ids than it gets by itself.
    """
    unknown = tokenizer.unk_token_id
    alone = dict(zip(_PROBES, (one.ids for one in natively(tokenizer, _PROBES)), strict=True))
    probes = [probe for probe, ids in alone.items() if unknown not in ids]
    for anchor in _ANCHORS[:3]:
        before, *joined = (one.ids for one in natively(tokenizer, [anchor, *(anchor + probe for probe in probes)]))
        if before and unknown not in before and all(ids[: len(before)] == before for ids in joined):
            return None if [before + alone[probe] for probe in probes] == joined else anchor
    return None
