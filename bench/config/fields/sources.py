"""Where policies come from: an embedded world, local files or the hub; and what all sources share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bench.config.document.problems import KeyPath
from bench.config.document.section import Section, as_written
from bench.config.fields.named_files import digest_of_model
from bench.core.errors import BenchError, did_you_mean
from bench.core.plugins import WORLD
from bench.core.policy import Built, PolicySpec, Pretrained, computing_in
from bench.core.task import World

_TEMPLATE = ("template", "dtype", "end_token")
_SIZE = ("world", "size", "dtype")
POLICY_FORMS = {"world": _SIZE, "path": ("path", *_TEMPLATE), "repo": ("repo", "revision", *_TEMPLATE)}
_PLACEHOLDER = "{prompt}"
REPO = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


def read_policy(section: Section, path: KeyPath, value: Any) -> PolicySpec | None:
    """Return the policy that a mapping names by ``world``, ``path`` or ``repo``, None when it is wrong (reported)."""
    form = form_of(section, path, value, POLICY_FORMS)
    if form == "world":
        return _world_policy(section, path, value)
    if form is None:
        return None
    required = ("repo", "revision") if form == "repo" else ("path",)
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
    computed = _local_model(section, (*path, "path"), fields["path"]) if form == "path" else {}
    if form == "repo" and not REPO.fullmatch(fields["repo"]):
        what = f"'{fields['repo']}' is no repository name"
        section.problem((*path, "repo"), what, "write org/name, or `path:` for a folder")
        right = False
    return section.build(Pretrained, path, fields, computed) if right and computed is not None else None


def _local_model(section: Section, path: KeyPath, text: str) -> dict[str, str] | None:
    folder = section.resolve(path, text)
    try:
        return {"path": str(folder), "digest": section.files.digest(folder, lambda: digest_of_model(folder))}
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
