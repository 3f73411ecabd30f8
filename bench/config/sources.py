"""What the comparison gives to every method: the base model and the data, from a world, local files or the hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bench import discover
from bench.config.comparison import Common
from bench.config.files import digest_of_data, digest_of_model
from bench.config.findings import KeyPath
from bench.config.sheet import Sheet, said
from bench.core.data import Data, DataSpec
from bench.core.errors import BenchError, did_you_mean
from bench.core.method import Budget, Lora
from bench.core.policy import PolicySpec, Pretrained
from bench.core.task import World

COLUMNS = {"demonstrations": ("prompt", "response"), "preferences": ("prompt", "chosen", "rejected")}
ROW_ID = "id"  # a column that rows may have; it can be renamed like the needed ones
NO_ADAPTER = "none"
_TEMPLATE = ("template", "dtype")
_BASE_FORMS = {"world": ("world", "size"), "path": ("path", *_TEMPLATE), "repo": ("repo", "revision", *_TEMPLATE)}
_DATA_FORMS = {"world": ("world", "split", "limit"), "path": ("path", "columns", "limit")}
_PLACEHOLDER = "{prompt}"
_REPO = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


def read_given(sheet: Sheet, value: Any) -> Common | None:
    """Return what is given to all methods, None when something in it is wrong."""
    path: KeyPath = ("given",)
    given = sheet.keys(path, value, list(Common.model_fields), required=("base", "seeds"))
    if given is None:
        return None
    found: dict[str, Any] = {}
    readers = {"base": _base, "demonstrations": _data, "preferences": _data, "lora": read_lora, "budget": _budget}
    for name, item in given.items():
        here = (*path, name)
        if name in readers:
            found[name] = readers[name](sheet, here, item)
        elif name == "seeds":
            found[name] = _seeds(sheet, here, item)
        elif sheet.field(Common, name, here, item):
            found[name] = item
    needed = set(given) - ({"lora"} if given.get("lora") == NO_ADAPTER else set())
    if not {"base", "seeds"} <= needed or any(found.get(name) is None for name in needed):
        return None
    return sheet.build(Common, path, found)


def read_lora(sheet: Sheet, path: KeyPath, value: Any) -> Lora | None:
    """Return an adapter; None for ``none`` (full fine-tuning), and for a wrong one, which is told."""
    if value == NO_ADAPTER:
        return None
    if not isinstance(value, dict):
        sheet.problem(path, f"must be `none` or a mapping such as {{rank: 8}}, not {said(value)}")
        return None
    fields = sheet.keys(path, value, list(Lora.model_fields))
    return None if fields is None else sheet.build(Lora, path, fields)


def _budget(sheet: Sheet, path: KeyPath, value: Any) -> Budget | None:
    fields = sheet.keys(path, value, list(Budget.model_fields))
    return None if fields is None else sheet.build(Budget, path, fields)


def _seeds(sheet: Sheet, path: KeyPath, value: Any) -> tuple[int, ...] | None:
    seeds = sheet.items(path, value, "seed")
    right = bool(seeds)
    for index, seed in enumerate(seeds):
        here = (*path, index)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            sheet.problem(here, f"a seed must be a whole number from 0 on, not {said(seed)}")
            right = False
        elif seed in seeds[:index]:
            sheet.problem(here, f"the seed {seed} stands twice", "each training run needs a seed of its own")
            right = False
    return tuple(seeds) if right else None


def _base(sheet: Sheet, path: KeyPath, value: Any) -> PolicySpec | None:
    form = _form(sheet, path, value, _BASE_FORMS)
    if form == "world":
        return _world_base(sheet, path, value)
    if form is None:
        return None
    required = ("repo", "revision") if form == "repo" else ("path",)
    fields = sheet.keys(path, value, _BASE_FORMS[form], required) or {}
    right = set(required) <= set(fields)
    template = fields.get("template", _PLACEHOLDER)
    if isinstance(template, str) and _PLACEHOLDER not in template:
        sheet.problem((*path, "template"), f"the template has no {_PLACEHOLDER} in it", "add it where the prompt goes")
        right = False
    if not isinstance(fields[form], str):
        sheet.problem((*path, form), f"must be text, not {said(fields[form])}")
        return None
    computed = _local_model(sheet, (*path, "path"), fields["path"]) if form == "path" else {}
    if form == "repo" and not _REPO.fullmatch(fields["repo"]):
        what = f"'{fields['repo']}' is no repository name"
        sheet.problem((*path, "repo"), what, "write org/name, or `path:` for a folder")
        right = False
    return sheet.build(Pretrained, path, fields, computed) if right and computed is not None else None


def _local_model(sheet: Sheet, path: KeyPath, text: str) -> dict[str, str] | None:
    folder = sheet.resolve(path, text)
    try:
        return {"path": str(folder), "digest": digest_of_model(folder)}
    except BenchError as error:
        sheet.refused(path, error)
        return None


def _world_base(sheet: Sheet, path: KeyPath, value: dict[str, Any]) -> PolicySpec | None:
    world = _world(sheet, path, value, reserved=("world", "size"))
    if world is None:
        return None
    if not _one_of(sheet, (*path, "size"), value, world.sizes()):
        return None
    try:
        return world.policy(value["size"])
    except BenchError as error:
        sheet.refused(path, error)
        return None


def _data(sheet: Sheet, path: KeyPath, value: Any) -> DataSpec | None:
    form = _form(sheet, path, value, _DATA_FORMS)
    if form == "world":
        return _world_data(sheet, path, value)
    fields = None if form is None else sheet.keys(path, value, _DATA_FORMS["path"])
    if fields is None:
        return None
    needed = COLUMNS[str(path[-1])]
    columns = fields.get("columns", {})
    right = sheet.field(Data, "columns", (*path, "columns"), columns)
    right = right and sheet.keys((*path, "columns"), columns, [*needed, ROW_ID]) == columns
    if not isinstance(fields["path"], str):
        sheet.problem((*path, "path"), f"must be text, not {said(fields['path'])}")
        return None
    file = sheet.resolve((*path, "path"), fields["path"])
    try:
        digest = digest_of_data(file, needed if right else (), columns if right else {})
    except BenchError as error:
        sheet.refused((*path, "path"), error)
        digest = ""
    data = sheet.build(Data, path, fields, {"path": str(file), "digest": digest})
    return data if right and digest else None


def _world_data(sheet: Sheet, path: KeyPath, value: dict[str, Any]) -> DataSpec | None:
    world = _world(sheet, path, value, reserved=("world", "split", "limit"))
    limit = value.get("limit")
    right = sheet.field(Data, "limit", (*path, "limit"), limit)
    if world is None or not _one_of(sheet, (*path, "split"), value, world.splits()) or not right:
        return None
    try:
        return world.data(value["split"], limit)
    except BenchError as error:
        sheet.refused(path, error)
        return None


def _world(sheet: Sheet, path: KeyPath, value: dict[str, Any], *, reserved: tuple[str, ...]) -> World | None:
    """Return the world a mapping names, its fields being what is not reserved."""
    here = (*path, "world")
    if not isinstance(value["world"], str):
        sheet.problem(here, f"must be the name of a world, not {said(value['world'])}")
        return None
    try:
        cls = discover.world(value["world"], sheet.place(here).folder)
    except BenchError as error:
        sheet.refused(here, error)
        return None
    fields = sheet.keys(path, value, [*reserved, *cls.model_fields])
    own = {name: item for name, item in (fields or {}).items() if name not in reserved}
    return sheet.build(cls, path, own)


def _one_of(sheet: Sheet, path: KeyPath, value: dict[str, Any], known: tuple[str, ...]) -> bool:
    name = str(path[-1])
    if name not in value:
        sheet.problem(path, "is missing", f"add `{name}: ...`; known: {', '.join(known)}")
        return False
    chosen = value[name]
    if not isinstance(chosen, str) or chosen not in known:
        hint = did_you_mean(chosen, known) if isinstance(chosen, str) else f"known: {', '.join(known)}"
        sheet.problem(path, f"this world has no {name} {said(chosen)}. {hint}")
        return False
    return True


def _form(sheet: Sheet, path: KeyPath, value: Any, forms: Mapping[str, tuple[str, ...]]) -> str | None:
    """Return which form a source has: the one key of ``forms`` that it holds; none or two are a problem."""
    if not isinstance(value, dict):
        first = next(iter(forms))
        sheet.problem(path, f"must be a mapping, not {said(value)}", f"for example {{{first}: ...}}")
        return None
    chosen = [name for name in forms if name in value]
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        sheet.keys(path, value, [key for keys in forms.values() for key in keys])
    got = " and ".join(chosen) or "none"
    sheet.problem(path, f"needs exactly one of {', '.join(forms)}, and has {got}")
    return None
