"""OpenAssistant's trees of messages: successive rows of one tree, each a message that answers its parent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.core.cells import is_finite
from bench.core.errors import DataError
from bench.core.row_formats.ratings import ranking
from bench.core.row_formats.row_format import RawRow, RowFormat, RowsMade, is_text, text_in
from bench.core.row_formats.turns import ASSISTANT, Turn, turns_in

_NEEDED = ("message_id", "parent_id", "message_tree_id", "text", "role")
_MOST_DEEP = 200  # turns from the root


def _is_message(row: RawRow) -> bool:
    return is_text(row["text"]) and is_text(row["role"]) and is_text(row["message_tree_id"])


class _Tree:
    """The messages of one tree, those left out that were deleted."""

    def __init__(self, rows: Sequence[RawRow]) -> None:
        for row in rows:
            ids = [row["message_id"], row["role"], *([] if row["parent_id"] is None else [row["parent_id"]])]
            if not all(is_text(one) for one in ids):
                raise DataError("a message whose id, parent or role is no text")
        self.rows = [row for row in rows if row.get("deleted") is not True]
        self.by_id: Mapping[Any, RawRow] = {row["message_id"]: row for row in self.rows}

    def path(self, row: RawRow) -> list[Turn] | None:
        """Return the turns from the root to a message, None where one of them is not in the file."""
        found = [row]
        while found[-1]["parent_id"] is not None:
            parent = self.by_id.get(found[-1]["parent_id"])
            if parent is None:
                return None
            found.append(parent)
            if len(found) > _MOST_DEEP:
                raise DataError("the messages of a tree answer each other in a circle")
        turns = [{"role": one["role"], "content": one["text"]} for one in reversed(found)]
        return turns_in(turns, "the tree")[0]

    def answers(self) -> Iterator[tuple[RawRow, list[RawRow]]]:
        """Yield each message that the assistant answered, and its answers, the best first where they are ranked."""
        for row in self.rows:
            own = [one for one in self.rows if one["parent_id"] == row["message_id"] and one["role"] == ASSISTANT]
            if own:
                yield row, sorted(own, key=lambda one: _rank(one, len(own)))


def _rank(row: RawRow, last: int) -> float:
    rank = row.get("rank")
    return float(rank) if is_finite(rank) else float(last)


_APART = "left out: a message whose tree is not whole, or whose rows do not follow each other"


def _ranked(rows: Sequence[RawRow]) -> RowsMade:
    tree = _Tree(rows)
    made: list[RawRow] = []
    told: list[str] = []
    for row, answers in tree.answers():
        ranked = [(text_in(one, "text"), -_rank(one, 0)) for one in answers if is_finite(one.get("rank"))]
        prompt = tree.path(row)
        found = RowsMade((), (_APART,)) if prompt is None else ranking(prompt, ranked)
        made += found.rows
        told += found.told
    return RowsMade(made, tuple(told))


def _best(rows: Sequence[RawRow]) -> RowsMade:
    tree = _Tree(rows)
    made: list[RawRow] = []
    told: list[str] = []
    for _, answers in tree.answers():
        chat = tree.path(answers[0])
        if chat is None:
            told.append(_APART)
        else:
            made.append({"prompt": chat[:-1], "response": chat[-1]["content"]})
            told += ["left out: an answer that is not the best to its message"] * (len(answers) - 1)
    return RowsMade(made, tuple(told))


TREE_RANKS = RowFormat(
    name="openassistant",
    gives="rankings",
    about="OpenAssistant: messages of trees (`message_id`, `parent_id`, `text`, `role`), the answers by their `rank`",
    needed=(*_NEEDED, "rank"),
    optional=("deleted",),
    fits=_is_message,
    make=_ranked,
    together="message_tree_id",
)
TREE_BEST = RowFormat(
    name="openassistant_best",
    gives="demonstrations",
    about="OpenAssistant: the best answer to every message of its trees",
    needed=_NEEDED,
    optional=("rank", "deleted"),
    fits=_is_message,
    make=_best,
    together="message_tree_id",
)
FORMATS = (TREE_RANKS, TREE_BEST)
