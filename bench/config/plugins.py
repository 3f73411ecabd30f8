"""Plug-ins that a comparison names in a list: ``NAME``, or a mapping with the name and fields of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from bench.config.files import digest_of, kind_of
from bench.config.findings import KeyPath, shown
from bench.config.sheet import Sheet, said
from bench.core.errors import BenchError
from bench.core.frozen import Open

P = TypeVar("P", bound=Open)
PATH, DIGEST = "path", "digest"


def read_plugins(
    sheet: Sheet, path: KeyPath, value: Any, word: str, find: Callable[[str, Path], type[P]]
) -> dict[KeyPath, P]:
    """Return the plug-ins of a list by their key path; what is wrong with one is told and that one left out."""
    found: dict[KeyPath, P] = {}
    for index, item in enumerate(sheet.items(path, value, word)):
        here = (*path, index)
        plugin = _read_one(sheet, here, item, word, find)
        if plugin is not None:
            found[here] = plugin
    return found


def _read_one(sheet: Sheet, path: KeyPath, item: Any, word: str, find: Callable[[str, Path], type[P]]) -> P | None:
    fields = {word: item} if isinstance(item, str) else item
    if not isinstance(fields, dict) or not isinstance(fields.get(word), str):
        got = said(item) if not isinstance(item, dict) else f"a mapping without a text under '{word}'"
        sheet.problem(path, f"must be the name of a {word} or a mapping {{{word}: NAME, ...}}, not {got}")
        return None
    at = path if isinstance(item, str) else (*path, word)
    try:
        cls = find(fields[word], sheet.place(at).folder)
    except BenchError as error:
        sheet.refused(at, error)
        return None
    if word in cls.model_fields:
        sheet.problem(at, f"{cls.__name__} has a field '{word}', which the comparison file needs for itself")
        return None
    with_file = {PATH, DIGEST} <= set(cls.model_fields)
    own = sheet.keys(path, fields, [word, *(name for name in cls.model_fields if not (with_file and name == DIGEST))])
    own = {key: value for key, value in (own or {}).items() if key != word}
    computed = _file_fields(sheet, path, own, cls) if with_file else {}
    return None if computed is None else sheet.build(cls, path, own, computed)


def _file_fields(sheet: Sheet, path: KeyPath, fields: Mapping[str, Any], cls: type[Open]) -> dict[str, str] | None:
    """Return the absolute path and the digest of the file that a plug-in reads; None when it cannot be had."""
    here = (*path, PATH)
    if PATH not in fields:
        if not cls.model_fields[PATH].is_required():
            return {}
        sheet.problem(here, "is missing", f"{cls.__name__} reads a file: add `path: ...`")
        return None
    if not isinstance(fields[PATH], str):
        sheet.problem(here, f"must be text, not {said(fields[PATH])}")
        return None
    file = sheet.resolve(here, fields[PATH])
    if kind_of(file) is None:
        sheet.problem(here, f"{shown(file)}: no such file", "the path starts from the folder of the file it is in")
        return None
    try:
        return {PATH: str(file), DIGEST: digest_of(file)}
    except BenchError as error:
        sheet.refused(here, error)
        return None
