"""Where policies come from: an embedded world, local files or the hub; and what all sources share."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.config.document.problems import KeyPath, shown
from bench.config.document.section import Section, as_written
from bench.config.fields.named_files import digest_of_adapter, digest_of_gguf, digest_of_model
from bench.core.errors import BenchError, did_you_mean
from bench.core.formats.adapter_files import check_fits
from bench.core.plugins import WORLD
from bench.core.policy import Adapter, Built, PolicySpec, Pretrained, computing_in
from bench.core.task import World

ADAPTER = "adapter"
_TEMPLATE = ("template", "dtype", "end_token", "load_in", ADAPTER)
ADAPTER_FORMS = {"path": ("path",), "repo": ("repo", "revision")}
_SIZE = ("world", "size", "dtype")
POLICY_FORMS = {
    "world": _SIZE,
    "path": ("path", *_TEMPLATE),
    "repo": ("repo", "revision", *_TEMPLATE),
    "gguf": ("gguf", *_TEMPLATE),
}
_PLACEHOLDER = "{prompt}"
REPO = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


def read_policy(section: Section, path: KeyPath, value: Any) -> PolicySpec | None:
    """Return the policy that a mapping names by a key of ``POLICY_FORMS``, None when it is wrong (reported)."""
    form = form_of(section, path, value, POLICY_FORMS)
    if form == "world":
        return _world_policy(section, path, value)
    if form is None:
        return None
    required = ("repo", "revision") if form == "repo" else (form,)
    fields = section.keys(path, value, POLICY_FORMS[form], required) or {}
    right = set(required) <= set(fields)
    template = fields.get("template", _PLACEHOLDER)
    if isinstance(template, str) and _PLACEHOLDER not in template:
        section.problem(
            (*path, "template"), f"the template has no {_PLACEHOLDER} in it", "add it where the prompt goes"
        )
        right = False
    if not isinstance(fields[form], str):
        section.problem((*path, form), f"must be text, not {as_written(fields[form])}")
        return None
    right = _can_load(section, (*path, "load_in"), fields.get("load_in")) and right
    computed: dict[str, Any] | None = {}
    if form == "repo":
        right = _is_repository(section, (*path, "repo"), fields["repo"]) and right
    else:
        checked = digest_of_gguf if form == "gguf" else digest_of_model
        computed = _local(section, (*path, form), fields[form], checked)
    fields = {name: item for name, item in fields.items() if name != "gguf"}  # a path to a file, as a value
    if ADAPTER in fields:
        adapters = read_adapters(section, (*path, ADAPTER), fields.pop(ADAPTER))
        if not adapters or computed is None:
            return None
        computed["adapters"] = adapters
        right = _fit(section, (*path, ADAPTER), adapters, computed.get("path")) and right
    return section.build(Pretrained, path, fields, computed) if right and computed is not None else None


def _can_load(section: Section, path: KeyPath, load_in: Any) -> bool:
    """Return whether what packs weights is installed, where a run to come needs it; report where it is not."""
    right = load_in is None or not section.files.EXECUTES or find_spec("bitsandbytes") is not None
    if not right:
        what = f"{as_written(load_in)} needs the package bitsandbytes, which is not installed"
        section.problem(path, what, "pip install 'alignment-bench[quant]'")
    return right


def read_checkpoint(section: Section, path: KeyPath, value: Mapping[str, Any]) -> PolicySpec | None:
    """Return the policy that an arm is: as ``read_policy``, or adapters alone, for the base that all arms are given.

    It computes in ``given.dtype`` unless it says another type. None when it is wrong, which is reported.
    """
    if ADAPTER in value and not POLICY_FORMS.keys() & value.keys():
        fields = section.keys(path, value, [ADAPTER, *POLICY_FORMS]) or {}
        adapters = read_adapters(section, (*path, ADAPTER), fields[ADAPTER])
        whole = len(fields) == len(value) and bool(adapters)
        return section.build(Pretrained, path, {}, {"adapters": adapters}) if whole else None
    given = section.root.get("given")
    common = {"dtype": given["dtype"]} if isinstance(given, dict) and "dtype" in given else {}
    return read_policy(section, path, {**common, **value})


def read_adapters(section: Section, path: KeyPath, value: Any) -> tuple[Adapter, ...]:
    """Return the adapters that ``adapter`` names: a folder, ``{path: ...}``, ``{repo: ..., revision: ...}``, or a list.

    Empty when one is wrong, which is reported.
    """
    if not isinstance(value, list):
        found = [_adapter(section, path, value)]
    else:
        items = section.items(path, value, ADAPTER)
        found = [_adapter(section, (*path, place), item) for place, item in enumerate(items)]
    right = [one for one in found if one is not None]
    return tuple(right) if len(right) == len(found) else ()


def _adapter(section: Section, path: KeyPath, value: Any) -> Adapter | None:
    if isinstance(value, str):
        computed = _local(section, path, value, digest_of_adapter)
        return None if computed is None else section.build(Adapter, path, {}, computed)
    form = form_of(section, path, value, ADAPTER_FORMS)
    fields = None if form is None else section.keys(path, value, ADAPTER_FORMS[form], ADAPTER_FORMS[form])
    if fields is None or form is None or set(fields) < set(ADAPTER_FORMS[form]):
        return None
    if not isinstance(fields[form], str):
        section.problem((*path, form), f"must be text, not {as_written(fields[form])}")
        return None
    if form == "repo":
        right = _is_repository(section, (*path, "repo"), fields["repo"])
        return section.build(Adapter, path, fields) if right else None
    computed = _local(section, (*path, "path"), fields["path"], digest_of_adapter)
    return None if computed is None else section.build(Adapter, path, fields, computed)


def _fit(section: Section, path: KeyPath, adapters: tuple[Adapter, ...], base: str | None) -> bool:
    """Return whether local adapters have the sizes of the local model that they are put on; report one that has not."""
    for adapter in adapters:
        if base is None or adapter.path is None or section.files.lacks(Path(adapter.path)):
            continue
        try:
            check_fits(Path(adapter.path), Path(base), shown(Path(adapter.path)))
        except BenchError as error:
            section.unusable(path, error)
            return section.files.forgives(error)
    return True


def _is_repository(section: Section, path: KeyPath, text: str) -> bool:
    right = REPO.fullmatch(text) is not None
    if not right:
        section.problem(path, f"'{text}' is no repository name", "write org/name, or `path:` for a folder")
    return right


def _local(section: Section, path: KeyPath, text: str, digest: Callable[[Path], str]) -> dict[str, Any] | None:
    folder = section.resolve(path, text)
    try:
        return {"path": str(folder), "digest": section.files.digest(folder, lambda: digest(folder))}
    except BenchError as error:
        section.refused(path, error)
        return None


def _world_policy(section: Section, path: KeyPath, value: dict[str, Any]) -> PolicySpec | None:
    world = read_world(section, path, value, reserved=_SIZE)
    if world is None or ("dtype" in value and not section.field(Built, "dtype", (*path, "dtype"), value["dtype"])):
        return None
    if not one_of(section, (*path, "size"), value, world.sizes()):
        return None
    try:
        policy = world.policy(value["size"])
        return computing_in(policy, value["dtype"]) if "dtype" in value else policy
    except BenchError as error:
        section.refused(path, error)
        return None


def read_world(section: Section, path: KeyPath, value: dict[str, Any], *, reserved: tuple[str, ...]) -> World | None:
    """Return the world a mapping names, its fields being what is not reserved."""
    here = (*path, "world")
    if not isinstance(value["world"], str):
        section.problem(here, f"must be the name of a world, not {as_written(value['world'])}")
        return None
    try:
        cls = section.plugin(WORLD, here, value["world"], value)
    except BenchError as error:
        section.refused(here, error)
        return None
    if not isinstance(cls, type):
        return cls
    fields = section.keys(path, value, [*reserved, *cls.model_fields])
    own = {name: item for name, item in (fields or {}).items() if name not in reserved}
    return section.build(cls, path, own)


def one_of(section: Section, path: KeyPath, value: dict[str, Any], known: tuple[str, ...]) -> bool:
    """Return whether a mapping has one of the known names under the last key of a path; reported where it has not."""
    name = str(path[-1])
    if name not in value:
        section.problem(path, "is missing", f"add `{name}: ...`; known: {', '.join(known)}")
        return False
    chosen = value[name]
    if not isinstance(chosen, str) or chosen not in known:
        hint = did_you_mean(chosen, known) if isinstance(chosen, str) else f"known: {', '.join(known)}"
        section.problem(path, f"this world has no {name} {as_written(chosen)}. {hint}")
        return False
    return True


def form_of(section: Section, path: KeyPath, value: Any, forms: Mapping[str, tuple[str, ...]]) -> str | None:
    """Return which form a source has: the one key of ``forms`` that it holds; none or two are a problem."""
    if not isinstance(value, dict):
        first = next(iter(forms))
        section.problem(path, f"must be a mapping, not {as_written(value)}", f"for example {{{first}: ...}}")
        return None
    chosen = [name for name in forms if name in value]
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        section.keys(path, value, [key for keys in forms.values() for key in keys])
    got = " and ".join(chosen) or "none"
    section.problem(path, f"needs exactly one of {', '.join(forms)}, and has {got}")
    return None
