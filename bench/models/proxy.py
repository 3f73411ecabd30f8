"""Proxy-tuning: one policy's logits, moved by the difference of two others while it decodes.

Liu et al. 2024, arXiv:2401.08565. With s the raw logits of the next token (not log-probabilities; the constants in
which they differ cancel in the softmax)::

    s = s_base + alpha (s_expert - s_antiexpert)      that is      p ~ p_base (p_expert / p_antiexpert)^alpha

Each model reads the chat with its own template and instructions; the tokens of the response are shared. The sum is
linear, so a proxy within a proxy is a longer sum, equal terms are added up, and what cancels is not computed: a proxy
whose expert is its base costs one forward pass less.

Known difference from the released code: there only the expert's logits are cut to the base's vocabulary, and
tokenizers are not compared. Here any model may have a tail, and token ids that mean different things are an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerBase

from bench.core.errors import StageError
from bench.core.policy import (
    Chat,
    Completion,
    Decoding,
    Instructed,
    PolicySpec,
    Proxy,
    ResponseLikelihood,
    Session,
    root,
)
from bench.core.stage import StageIO
from bench.models import local
from bench.models.decoding.sampling import Steps
from bench.models.hf import HFPolicy, likelihoods_of, logprob_and_greedy_of
from bench.models.likelihood.logprobs import LOGITS_AT_ONCE, TokenLogprobs, response_states
from bench.models.local import Groups, Prompts
from bench.models.packing.halves import Halves, halves_of


@dataclass(frozen=True)
class Term:
    """One model of a sum: how it reads its prompts, the factor of its logits, and where it stands in the proxy."""

    spec: PolicySpec
    factor: float
    place: str


def terms_of(spec: PolicySpec) -> list[Term]:
    """Return the models whose logits a policy adds up, a plain policy being its own only one.

    The factors add up to 1. They are computed exactly, and a model whose factor is 0 is left out.
    """
    found: list[tuple[PolicySpec, Fraction, str]] = []
    for term, factor, place in _terms(spec, "", Fraction(1)):
        at = next((number for number, known in enumerate(found) if known[0] == term), None)
        if at is None:
            found.append((term, factor, place))
        else:
            found[at] = (term, found[at][1] + factor, found[at][2])
    return [Term(term, float(factor), place) for term, factor, place in found if factor]


def _terms(spec: PolicySpec, place: str, factor: Fraction) -> Iterator[tuple[PolicySpec, Fraction, str]]:
    if not isinstance(root(spec), Proxy):
        yield spec, factor, place or "base"
    elif isinstance(spec, Instructed):  # an instruction to a proxy is one to each of its models
        for term, inner, where in _terms(spec.base, place, factor):
            yield spec.model_copy(update={"base": term}), inner, where
    elif isinstance(spec, Proxy):
        alpha = Fraction(spec.alpha) * factor
        for name, part, share in (
            ("base", spec.base, factor),
            ("expert", spec.expert, alpha),
            ("antiexpert", spec.antiexpert, -alpha),
        ):
            yield from _terms(part, f"{place}.{name}".lstrip("."), share)


class ProxyPolicy:
    """Several models that write together; fulfils ``bench.models.local.LocalPolicy``.

    ``models`` are those of ``terms``, in order. A response is tokenised, and its end token chosen, as the first of
    them does it; a completion ends with any token that ends one of any of them. Raises StageError where their
    vocabularies differ.
    """

    def __init__(self, spec: PolicySpec, terms: Sequence[Term], models: Sequence[HFPolicy]) -> None:
        self.spec = spec
        self.models = tuple(models)
        self.factors = tuple(term.factor for term in terms)
        self.tokenizer = self.models[0].tokenizer
        self.end_ids = frozenset().union(*(model.end_ids for model in self.models))
        self.vocabulary = shared_vocabulary(self.models, [term.place for term in terms])

    @property
    def parts(self) -> tuple[HFPolicy, ...]:
        """The models."""
        return self.models

    @property
    def context(self) -> int | None:
        """The longest text in tokens that every model can read, or None where none sets a limit."""
        limits = [model.context for model in self.models if model.context is not None]
        return min(limits) if limits else None

    def response(self, text: str) -> list[int]:
        """Return the ids of a response to any prompt, with the token that ends a turn of the first model."""
        return self.models[0].response(text)

    def cut_response(self, text: str) -> list[int]:
        """Return the ids of a response that was cut off, as the first model reads it."""
        return self.models[0].cut_response(text)

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of a response's ids; special tokens before its end are spelt out."""
        return self.models[0].tokens.text(ids, self.end_ids)

    def holds_special(self, ids: Sequence[int]) -> bool:
        """Return whether a response's ids have a special token before their end."""
        return self.models[0].tokens.holds_special(ids, self.end_ids)

    def session(self, chats: Sequence[Chat]) -> Session:
        """Open a decoding session over the chats, one row each."""
        return self.open([local.prompts_of(self, chat) for chat in chats])

    def open(self, rows: Sequence[Prompts]) -> CombinedSession:
        """Return a decoding session over the rows, each with a prompt per model."""
        sessions = [model.open([(row[place],) for row in rows]) for place, model in enumerate(self.models)]
        return CombinedSession(sessions, self.factors, self.vocabulary)

    def generate(
        self, chats: Sequence[Chat], decoding: Decoding, *, seeds: Sequence[int], io: StageIO | None = None
    ) -> list[Completion]:
        """Return one completion per chat; see ``bench.core.policy.Policy``."""
        rows = [local.prompts_of(self, chat) for chat in chats]
        return local.completions(self, rows, decoding, seeds=seeds, io=io)

    def loglikelihood(self, pairs: Sequence[tuple[Chat, str]]) -> list[ResponseLikelihood]:
        """Return the likelihood of each response (its end token included) given its chat."""
        return local.likelihoods(self, pairs)

    @torch.inference_mode()
    def token_logprobs(self, rows: Sequence[Groups]) -> TokenLogprobs:
        """Return the log-probability of every response token, the responses in order; without gradients."""
        tokens = Tokens.read(self.models, rows, self.vocabulary)
        found = [
            -cross_entropy(combined(logits, self.factors), targets, reduction="none")
            for logits, targets in tokens.chunks()
        ]
        values = torch.zeros(tokens.mask.shape, device=tokens.mask.device)
        return TokenLogprobs(values.masked_scatter(tokens.mask, torch.cat(found)), tokens.mask)

    @torch.inference_mode()
    def score(self, rows: Sequence[Groups]) -> list[ResponseLikelihood]:
        """Return the likelihood of every response of ids, as it stands, in order; all rows at once."""
        tokens = Tokens.read(self.models, rows, self.vocabulary)
        found = [logprob_and_greedy_of(combined(logits, self.factors), targets) for logits, targets in tokens.chunks()]
        return likelihoods_of(torch.cat(found), tokens.mask)


class CombinedSession:
    """Decoding sessions of several models that take the same tokens, each with a cache of its own."""

    def __init__(self, sessions: Sequence[Steps], factors: Sequence[float], vocabulary: int) -> None:
        self._sessions = tuple(sessions)
        self._factors = tuple(factors)
        self._vocabulary = vocabulary

    @torch.inference_mode()
    def logits(self) -> Tensor:
        """Return float32 logits of the next token, before temperature. Shape: (batch, vocabulary)."""
        return combined([session.logits()[:, : self._vocabulary] for session in self._sessions], self._factors)

    def push(self, tokens: Tensor) -> None:
        """Append one token per row, the same to every model. Shape: (batch,)."""
        for session in self._sessions:
            session.push(tokens)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows, given by their numbers."""
        for session in self._sessions:
            session.keep(rows)


@dataclass(frozen=True)
class Tokens:
    """The states of several models at the same response tokens, and those tokens.

    ``hidden``: per model (tokens, width). ``targets`` (tokens,). ``mask`` (responses, longest response).
    """

    decoders: tuple[Halves, ...]
    hidden: tuple[Tensor, ...]
    targets: Tensor
    mask: Tensor
    vocabulary: int

    @classmethod
    def read(cls, models: Sequence[HFPolicy], rows: Sequence[Groups], vocabulary: int) -> Self:
        """Return what the models make of the rows, each of a group per model; one forward pass per model."""
        decoders = tuple(halves_of(model.model) for model in models)
        found = [
            response_states(decoder, [row[place] for row in rows], pad_id=model.pad_id)
            for place, (model, decoder) in enumerate(zip(models, decoders, strict=True))
        ]
        first = found[0]
        if any(not torch.equal(states.targets, first.targets) for states in found):
            raise StageError("the models of a proxied policy were given different responses to score.")
        return cls(decoders, tuple(states.hidden for states in found), first.targets, first.mask, vocabulary)

    def chunks(self) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Yield the logits of every model, (tokens, vocabulary) each, and the tokens, few enough for memory at once."""
        size = max(1, LOGITS_AT_ONCE // (self.vocabulary * (len(self.decoders) + 1)))
        for start in range(0, len(self.targets), size):
            part = slice(start, start + size)
            logits = [
                decoder.logits(hidden[part])[:, : self.vocabulary]
                for decoder, hidden in zip(self.decoders, self.hidden, strict=True)
            ]
            yield logits, self.targets[part]


def combined(logits: Sequence[Tensor], factors: Sequence[float]) -> Tensor:
    """Return the sum of logits times their factors, the shape of each of them (arXiv:2401.08565, equation 1)."""
    total = logits[0] if factors[0] == 1 else logits[0] * factors[0]
    for one, factor in zip(logits[1:], factors[1:], strict=True):
        total = torch.add(total, one, alpha=factor)
    return total


def shared_vocabulary(models: Sequence[HFPolicy], places: Sequence[str]) -> int:
    """Return how many token ids, counted from 0, models have in common; what lies behind is cut.

    A model may have more logits than its tokenizer has tokens (rows that pad its matrix), and a tokenizer more tokens
    at its end than another's (an expert that was given some). Raises StageError where an id within what is common
    stands for different tokens, or a model has no logit for it.
    """
    sizes = [halves_of(model.model).vocabulary for model in models]
    tokens = [_tokens(model.tokenizer) for model in models]
    lengths = [max(found) + 1 for found in tokens]
    known = min(lengths)
    for place, found, size in zip(places, tokens, sizes, strict=True):
        other = next((number for number in range(known) if found.get(number) != tokens[0].get(number)), None)
        if other is not None:
            raise StageError(
                f"the token with id {other} is {tokens[0].get(other)!r} for the {places[0]} of the proxied policy and "
                f"{found.get(other)!r} for its {place}. Proxy-tuning adds logits token by token, so all its models "
                "must have one vocabulary. Choose `given.base` and `given.small` from one family of models."
            )
        if size < known:
            raise StageError(
                f"the {place} of the proxied policy has {size} logits, and its vocabulary has {known} tokens. "
                "Choose models of one family, whose heads cover the whole vocabulary."
            )
    return min(sizes) if len(set(lengths)) == 1 else min(*sizes, known)


def _tokens(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    return {number: token for token, number in tokenizer.get_vocab().items()}
