"""What tokens are kept by: digests of all they rest on, the bytes of the data and how they are read among it."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any

import tokenizers
import transformers
from transformers import PreTrainedTokenizerFast

from bench.core.data import DataSpec, Made
from bench.core.datasets import Finished, digest_of_rows
from bench.core.frozen import digest
from bench.core.policy import Message, as_read, root
from bench.models.tokenised.content import RowKind
from bench.models.tokenised.making import Wording
from bench.models.tokenizer import PromptReader, ResponseWriter, end_token_of

# Raised by hand where the same data, tokenizer and template give other tokens, or an entry holds something else.
VERSION = 1


def rows_key(data: DataSpec, rows_of: RowKind, io: Finished) -> dict[str, Any]:
    """Return what tells the rows of a data set: their bytes, and the settings by which they are read."""
    reading = {"limit": data.limit} if isinstance(data, Made) else data
    return {"version": VERSION, "rows_of": rows_of, "bytes": digest_of_rows(data, io), "reading": reading}


def entry_key(rows: dict[str, Any], entry: str) -> str:
    """Return the digest that an entry is kept by which rests on rows alone."""
    return digest({**rows, "entry": entry})


def prompts_key(rows: dict[str, Any], reading: Wording) -> str | None:
    """Return the digest that prompts are kept by; None for a tokenizer that has no form to take one of."""
    own = _reader_key(reading.part)
    if own is None:
        return None
    # Instructions stand before the first user turn, whatever the chat: what stands before one is all of them.
    (turn,) = as_read(reading.spec, (Message(role="user", content=""),))
    return digest({**rows, "entry": "prompts", "reader": own, "instructions": turn.content})


def responses_key(rows: dict[str, Any], writer: ResponseWriter) -> str | None:
    """Return the digest that responses are kept by; None for a tokenizer that has no form to take one of."""
    own = _reader_key(writer)
    if own is None:
        return None
    written = type(writer.tokens).__name__  # as what follows a prompt, or as a text of its own
    end = end_token_of(root(writer.spec))
    return digest({**rows, "entry": "responses", "writer": own, "written": written, "end_token": end})


def _reader_key(part: PromptReader) -> dict[str, Any] | None:
    if not isinstance(part.tokenizer, PreTrainedTokenizerFast):
        return None
    form = _form_of(part.tokenizer)
    return {"tokenizer": form, "template": part.template, "chat_template": part.tokenizer.chat_template}


@lru_cache(maxsize=16)
def _form_of(tokenizer: PreTrainedTokenizerFast) -> str:
    """Return the digest of a tokenizer: its own form, its class, its special tokens, and the programs that read it."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    own = {name: part for name, part in content.items() if name not in ("truncation", "padding")}  # change with a call
    said = {
        "form": own,
        "class": type(tokenizer).__name__,
        "special": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        "all_special": [str(token) for token in tokenizer.all_special_tokens],
        "split_special_tokens": bool(getattr(tokenizer, "split_special_tokens", False)),
        "versions": [tokenizers.__version__, transformers.__version__],
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
