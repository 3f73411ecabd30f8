"""The arms of a comparison: which method, with which fields and adapter, under which name."""

from __future__ import annotations

import re
from typing import Any

from bench.config.comparison import Arm
from bench.config.document.problems import KeyPath
from bench.config.document.section import Section, as_written
from bench.config.fields.forms import form_fields
from bench.config.fields.named_plugins import build_plugin, own_keys
from bench.config.fields.sources import ADAPTER, POLICY_FORMS, read_checkpoint
from bench.config.sections.given import NO_ADAPTER, read_lora
from bench.core.errors import BenchError, did_you_mean
from bench.core.method import Given, Lora, Method
from bench.core.plugins import METHOD
from bench.core.policy import PolicySpec

REPLICATE, LORA = "replicate", "lora"
RESERVED = (METHOD.word, REPLICATE, LORA)
# What an arm may have from elsewhere: policies in the place of its supervised start, and of its reference.
START, REFERENCE = BROUGHT = ("start", "reference")
CHECKPOINT = "policy"  # the method that is a policy made elsewhere
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def read_methods(section: Section, value: Any, given: Any, common_lora: Lora | None) -> tuple[Arm, ...]:
    """Return the arms, those that are wrong left out and reported.

    ``given`` is what the file writes there, so that an arm is not blamed for what is present and wrong.
    """
    path: KeyPath = ("methods",)
    if not isinstance(value, dict) or not value:
        got = "this one is empty" if value == {} else f"not {as_written(value)}"
        section.problem(path, f"must be a mapping with at least one method; {got}", "for example `methods: {base: {}}`")
        return ()
    there = {name for name, item in given.items() if item is not None} if isinstance(given, dict) else set()
    if isinstance(given, dict) and given.get("lora") == NO_ADAPTER:
        there.discard("lora")
    before = section.count
    arms = [_read_method(section, (*path, name), item, there, common_lora) for name, item in value.items()]
    found = tuple(arm for arm in arms if arm is not None)
    complete = len(found) == len(arms) and section.count == before
    _check_repeats(section, found, complete=complete)
    return found


def repeated_by(arm: Arm, arms: tuple[Arm, ...]) -> Arm | None:
    """Return the arm that a replicate repeats: the first other one with the same method and adapter."""
    twins = (other for other in arms if other.name != arm.name and _treatment(other) == _treatment(arm))
    return next(twins, None) if arm.replicate is not None else None


def _read_method(section: Section, path: KeyPath, value: Any, there: set[str], common_lora: Lora | None) -> Arm | None:
    name = str(path[-1])
    if not _NAME.fullmatch(name):
        section.problem(path, f"'{name}' cannot name a method", "use letters, digits, '_' and '-'")
        return None
    fields = {} if value is None else value
    if not isinstance(fields, dict):
        section.problem(
            path, f"must be a mapping of the method's fields, not {as_written(value)}", "write {} for the defaults"
        )
        return None
    cls = _class_of(section, path, fields)
    if cls is None:
        return None
    brought = _brought(section, path, fields, cls) if isinstance(cls, type) else {}
    fields = {key: item for key, item in fields.items() if key not in brought}
    if isinstance(cls, type):
        method = build_plugin(section, cls, path, own_keys(section, cls, path, fields, RESERVED))
    else:
        method = cls
    lora = read_lora(section, (*path, LORA), fields[LORA]) if LORA in fields else common_lora
    replicate = fields.get(REPLICATE)
    if REPLICATE in fields and not (isinstance(replicate, str) and replicate.strip()):
        section.problem((*path, REPLICATE), f"must be a name for the repetition, not {as_written(replicate)}")
        return None
    there = there | ({"lora"} if lora is not None else set())
    _check_needs(section, path, cls if isinstance(cls, type) else type(cls), method, there)
    if method is None or None in brought.values():
        return None
    return Arm(name=name, method=method, lora=lora, replicate=replicate, **brought)


def _brought(
    section: Section, path: KeyPath, fields: dict[str, Any], cls: type[Method]
) -> dict[str, PolicySpec | None]:  # fmt: skip
    """Return the policies made elsewhere that an arm starts from and is measured against; None for a wrong one.

    A method's own field of the name ``reference`` is the method's; ``start`` is one where it names a policy.
    """
    found: dict[str, PolicySpec | None] = {}
    for name in BROUGHT:
        value = fields.get(name)
        named = {ADAPTER, *POLICY_FORMS} & value.keys() if isinstance(value, dict) else set()
        if not isinstance(value, dict) or not (named or value.get(METHOD.word) == CHECKPOINT):
            continue
        if name == REFERENCE and name in cls.model_fields:
            continue
        own = {key: item for key, item in value.items() if key != METHOD.word}
        found[name] = read_checkpoint(section, (*path, name), own)
        if found[name] is not None and own.keys() <= {ADAPTER}:
            section.problem(
                (*path, name), "an adapter here needs its model beside it", "add `path: ...` or `repo: ...`"
            )
    return found


def _class_of(section: Section, path: KeyPath, fields: dict[str, Any]) -> type[Method] | Method | None:
    """Return the method's class: ``method``, or else the arm's own name; what stands in for one that is not here."""
    at = (*path, METHOD.word) if METHOD.word in fields else path
    which = fields.get(METHOD.word, path[-1])
    if not isinstance(which, str):
        section.problem(at, f"must be the name of a method, not {as_written(which)}")
        return None
    written = {key: item for key, item in fields.items() if key not in RESERVED}
    try:
        cls = section.plugin(METHOD, at, which, written)
    except BenchError as error:
        section.refused(at, error)
        return None
    if not isinstance(cls, type):
        return cls
    taken = [name for name in RESERVED if name in cls.model_fields]
    if taken:
        section.problem(at, f"{cls.__name__} has a field '{taken[0]}', which the comparison file needs for itself")
        return None
    return cls


def _check_needs(section: Section, path: KeyPath, cls: type[Method], method: Method | None, there: set[str]) -> None:
    """Report what a method needs and nobody gives; a need of a method inside it is reported where that one stands."""
    for need in sorted(cls.NEEDS if method is None else method.needs()):
        if need not in Given.model_fields:
            known = did_you_mean(need, Given.model_fields)
            section.problem(path, f"{cls.__name__} needs '{need}', which no comparison gives. {known}")
        elif need not in there and need not in ("base", "seed", "max_length"):
            at, which = path, str(path[-1])
            if method is not None:
                at, which = _who_needs(path, which, method, need)
            section.problem(at, f"method {which} needs given.{need}", f"add `{need}:` under `given:`")


def _who_needs(path: KeyPath, which: str, method: Method, need: str) -> tuple[KeyPath, str]:
    """Return where the innermost method with that need stands, and its name: what needs it always needs it itself."""
    if need in type(method).NEEDS:
        return path, which
    for name in form_fields(type(method)):
        inner = getattr(method, name)
        if isinstance(inner, Method) and need in inner.needs():
            return _who_needs((*path, name), type(inner).__module__.rpartition(".")[2], inner, need)
    return path, which


def _check_repeats(section: Section, arms: tuple[Arm, ...], *, complete: bool) -> None:
    """Report arms that are the same treatment twice, and replicates that repeat nothing."""
    for index, arm in enumerate(arms):
        path = ("methods", arm.name)
        same = [other for other in arms[:index] if _treatment(other) == _treatment(arm)]
        twin = next((other.name for other in same if other.replicate == arm.replicate), None)
        if twin is not None:
            what = f"the arms '{twin}' and '{arm.name}' are the same treatment, so their results are the same"
            section.problem(path, what, "change a field, or add `replicate: second` for an A/A control")
        elif complete and arm.replicate is not None and repeated_by(arm, arms) is None:
            what = "this replicate repeats no other arm: none has the same method, fields and adapter"
            section.problem((*path, REPLICATE), what, "add the arm that it repeats, or drop `replicate`")


def _treatment(arm: Arm) -> tuple[Any, ...]:
    return arm.method, arm.lora, arm.start, arm.reference
