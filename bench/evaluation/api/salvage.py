"""Answers read from a damaged store, page by page, where SQLite itself reads nothing more.

The format is that of https://www.sqlite.org/fileformat2.html, sections 1.6, 2.1 and 4.1. Answers are never changed or
deleted, so a row that is found anywhere, whole, is one that was stored: its key is the digest of its question.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

PAGE = 4096  # SQLite's own, which nothing of ours changes
_LEAF = 0x0D
_WAL_HEADER, _FRAME_HEADER = 32, 24
_COLUMNS = 4
Row = tuple[str, str, str, str]


def salvaged(file: Path) -> dict[str, Row]:
    """Return the answers in a damaged file and its log, by key: key, question, reply, server."""
    pages = dict(_pages(file.read_bytes()))
    log = Path(f"{file}-wal")
    frames = dict(_frames(log.read_bytes())) if log.is_file() else {}
    found = {}
    for ours, others in ((pages, pages), (frames, {**pages, **frames})):
        for page in ours.values():
            for row in _rows(page, others):
                found[row[0]] = row
    return found


def _pages(content: bytes) -> Iterator[tuple[int, bytes]]:
    for number, start in enumerate(range(0, len(content), PAGE), start=1):
        yield number, content[start : start + PAGE]


def _frames(log: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the pages of a log with their numbers, the last one of a number last."""
    for start in range(_WAL_HEADER, len(log), _FRAME_HEADER + PAGE):
        yield int.from_bytes(log[start : start + 4]), log[start + _FRAME_HEADER : start + _FRAME_HEADER + PAGE]


def _rows(page: bytes, pages: Mapping[int, bytes]) -> Iterator[Row]:
    """Yield the answers on a page that can be read."""
    if len(page) < PAGE or page[0] != _LEAF:
        return
    for cell in range(int.from_bytes(page[3:5])):
        place = 8 + 2 * cell
        try:
            row = _row(page, int.from_bytes(page[place : place + 2]), pages)
        except (ValueError, IndexError, KeyError):
            continue
        if row is not None:
            yield row


def _row(page: bytes, start: int, pages: Mapping[int, bytes]) -> Row | None:
    """Return the answer in a cell, None for the cell of another table; raises ValueError where it is damaged."""
    length, start = _number(page, start)
    _rowid, start = _number(page, start)
    record = _record(page, start, length, pages)
    end, place = _number(record, 0)
    sizes = []
    while place < end:
        kind, place = _number(record, place)
        if kind < 13 or kind % 2 == 0:  # no text
            return None
        sizes.append((kind - 13) // 2)
    if len(sizes) != _COLUMNS or end + sum(sizes) != len(record):
        return None
    rest = iter(record[end:])
    key, question, reply, server = (bytes(islice(rest, size)).decode() for size in sizes)
    json.loads(reply)
    return (key, question, reply, server) if hashlib.sha256(question.encode()).hexdigest() == key else None


def _record(page: bytes, start: int, length: int, pages: Mapping[int, bytes]) -> bytes:
    """Return the record of a cell: what lies on the page, and what was too much for it on others."""
    if length <= PAGE - 35:
        return page[start : start + length]
    least = (PAGE - 12) * 32 // 255 - 23
    local = least + (length - least) % (PAGE - 4)
    local = local if local <= PAGE - 35 else least
    record = bytearray(page[start : start + local])
    following = int.from_bytes(page[start + local : start + local + 4])
    while len(record) < length:
        further = pages[following]
        record += further[4 : 4 + length - len(record)]
        if len(further) < PAGE:
            raise ValueError("the file ends within a row")
        following = int.from_bytes(further[:4])
    return bytes(record)


def _number(data: bytes, place: int) -> tuple[int, int]:
    """Return a number of variable length, and the place behind it."""
    value = 0
    for count in range(9):
        byte = data[place + count]
        if count == 8:
            return value << 8 | byte, place + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + count + 1
    raise AssertionError("a number has at most nine bytes")
