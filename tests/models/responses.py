"""Responses to token ids and back, by a tokenizer without a policy."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from bench.models.response_tokens import ResponseTokens


def response_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Return the ids of a response with its end token."""
    return ResponseTokens(tokenizer).ids(text)


def response_text(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """Return the text of a response's ids."""
    tokens = ResponseTokens(tokenizer)
    return tokens.text(ids, (tokens.end,))
