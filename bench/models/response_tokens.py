"""From responses to token ids, without a beginning token and with their end, and back."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from functools import lru_cache

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from bench.core.lengths import SpellingCounts
from bench.models.spelling import decode, encode_text, natively, spells
from bench.models.turn_end import TurnEnd, around, control_of, turn_end

log = logging.getLogger(__name__)

# Texts that may stand before a response while it is tokenised; the first that the tokenizer keeps apart is used.
_ANCHORS = ("\n", ".", "x", "0", "(")
# How many responses of a kind there are when the log says so.
_TOLD = (1, 10, 100, 1_000, 10_000, 100_000)
_PROBES = ("a", " a", "Once", " Once")


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
        return [*self._written(text, self._form.closing, (self.end,)), self.end]

    def cut_ids(self, text: str) -> list[int]:
        """Return the ids of a response that was cut off: neither its end nor what stands before that follows."""
        return self._written(text, "", ())

    @property
    def changed(self) -> int:
        """How many different responses do not come back from their tokens as they were."""
        return len(self._changed)

    def counts(self) -> SpellingCounts:
        """Return what there is to tell of the responses that were turned into tokens."""
        return SpellingCounts(changed=self.changed, spelt=len(self._spelling))

    def _written(self, text: str, closing: str, end: tuple[int, ...]) -> list[int]:
        if spells(text, [(0, len(text))], self._control):
            self._spelling.add(text)
        found: list[int] | None = None
        for anchor in self._anchors:
            ids = self._behind(anchor, text, closing)
            if ids is None:
                continue
            if self._read([*ids, *end], end) == text:
                return ids
            found = ids if found is None else found
        if text not in self._changed:
            self._changed.add(text)
            one, several = "does not come back from its tokens as it was", "do not come back from theirs as they were"
            lost = "(spaces or characters are lost)"
            self._tell(self.changed, f"response {one} {lost}", f"responses {several} {lost}", text)
        return self._behind("", text, closing) or [] if found is None else found

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
        ended = len(ids) > 0 and ids[-1] in ends
        text = self._decoded(ids[:-1] if ended else ids)
        # The tokenizer's own space behind the opening is not there where nothing follows.
        text = text.removeprefix(self._prefix if text.startswith(self._prefix) else self._prefix.rstrip(" "))
        return text.removesuffix(self._form.closing) if ended else text

    def _tell(self, count: int, of_one: str, of_several: str, text: str) -> None:
        if count in _TOLD:
            what = of_one if count == 1 else of_several
            log.warning("%s: %d %s; the latest begins %r", self.tokenizer.name_or_path, count, what, text[:60])

    def _decoded(self, ids: Sequence[int]) -> str:
        if self._apart is None:
            return decode(self.tokenizer, ids)
        return decode(self.tokenizer, [*self._before[self._apart], *ids])[self._shown :]

    def _behind(self, anchor: str, text: str, closing: str) -> list[int] | None:
        """Return the ids of a response behind an anchor, or None where a token lies across the border."""
        before = self._before[anchor]
        ahead = anchor + self._form.opening
        said = (len(ahead), len(ahead) + len(text))
        joined = encode_text(self.tokenizer, f"{ahead}{text}{closing}", [said], self._control).ids
        return joined[len(before) :] if joined[: len(before)] == before else None

    def _ahead(self) -> str:
        """Return how what stands before a response's text reads: the opening, and spaces that the tokenizer puts there.

        SentencePiece puts one behind the template's control tokens, those that open the turn and those of the opening.
        """
        opening = self._form.opening
        if self._apart is None or not self._form.tail:
            return opening
        ids = self._behind(self._form.tail, "a", "")
        found = "" if ids is None else self._decoded(ids).removesuffix("a")
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
