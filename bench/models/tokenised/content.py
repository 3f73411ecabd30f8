"""What is known of rows of data without a tokenizer: labels, equal prompts, and what is odd about their texts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.core.datasets import Demonstration, Preference, UnpairedResponse
from bench.core.lengths import RowCounts
from bench.core.policy import Chat
from bench.core.row_formats.reading import RowsSeen

RowKind = Literal["demonstrations", "preferences", "unpaired"]
Row = Demonstration | Preference | UnpairedResponse


class RowCounter:
    """Counts rows as they come; texts are known by digests, so that many take little room."""

    def __init__(self) -> None:
        self._prompts: dict[bytes, int] = {}
        self._seen: set[bytes] = set()
        self._counts = dict.fromkeys(RowCounts.model_fields.keys() - {"told"}, 0)

    def add(self, rows: Sequence[Row]) -> dict[str, NDArray[np.float64 | np.int64 | np.bool_]]:
        """Return the columns of these rows; see ``bench.models.tokenised.token_rows.TokenRows``."""
        prompts = [self._number(row) for row in rows]
        pairs = [row if isinstance(row, Preference) else None for row in rows]
        labels = [(1.0, 0.0) if pair is None else (pair.probability, pair.margin) for pair in pairs]
        self._counts["bad"] += sum(isinstance(row, UnpairedResponse) and not row.good for row in rows)
        self._counts["soft"] += sum(probability != 1 for probability, _ in labels)
        self._counts["margins"] += sum(margin != 0 for _, margin in labels)
        return {
            "probability": np.array([probability for probability, _ in labels], dtype=np.float64),
            "margin": np.array([margin for _, margin in labels], dtype=np.float64),
            "good": np.array([not isinstance(row, UnpairedResponse) or row.good for row in rows], dtype=np.bool_),
            "prompt": np.array(prompts, dtype=np.int64),
            "said": np.array([reply.text != "" for row in rows for reply in row.replies()], dtype=np.bool_),
            "ended": np.array([reply.ended for row in rows for reply in row.replies()], dtype=np.bool_),
        }

    def counts(self, seen: RowsSeen) -> RowCounts:
        """Return what was counted, and what reading the files told."""
        told = {"read": seen.read, "told": dict(sorted(seen.told.items())), "prompts": len(self._prompts)}
        return RowCounts.model_validate({**self._counts, **told})

    def _number(self, row: Row) -> int:
        """Return the number of a row's prompt, after counting what is odd about the row."""
        texts = [reply.text for reply in row.replies()]
        mark = _digest_of(row.prompt)
        whole = _digest_of(row.prompt, texts)
        self._counts["rows"] += 1
        self._counts["duplicates"] += whole in self._seen
        self._counts["identical"] += len(texts) == 2 and texts[0] == texts[1]
        self._counts["empty"] += sum(not text.strip() for text in texts)
        self._seen.add(whole)
        return self._prompts.setdefault(mark, len(self._prompts))


def _digest_of(prompt: Chat, texts: Sequence[str] = ()) -> bytes:
    found = hashlib.blake2b(digest_size=16)
    for part in (*(text for turn in prompt for text in (turn.role, turn.content)), "", *texts):
        data = part.encode("utf-8", "surrogatepass")
        found.update(len(data).to_bytes(8, "big"))
        found.update(data)
    return found.digest()


def prompt_counts(prompts: Sequence[Chat], read: int) -> RowCounts:
    """Return what was counted of prompts alone, of so many rows that were read."""
    different = len({_digest_of(one) for one in prompts})
    empty = sum(not any(turn.content.strip() for turn in one if turn.role != "system") for one in prompts)
    rows = len(prompts)
    return RowCounts(read=read, rows=rows, prompts=different, duplicates=rows - different, empty=empty)
