"""Which fields of a plug-in hold plug-ins, policies, data or rewards themselves: known by their declared type."""

from __future__ import annotations

from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from bench.core.data import DataSpec
from bench.core.judge import Judge
from bench.core.method import Method
from bench.core.policy import PolicySpec
from bench.core.reward import RewardSpec
from bench.core.stage import Stage
from bench.core.task import Task

Form = Literal["method", "judge", "task", "policy", "data", "reward"]
_PLUGINS: dict[Form, type[BaseModel]] = {"method": Method, "judge": Judge, "task": Task}
_UNIONS: dict[Form, Any] = {"policy": PolicySpec, "data": DataSpec, "reward": RewardSpec}


@dataclass(frozen=True)
class FormField:
    """What a field holds. ``many``: a list of them. ``nullable``: nothing is allowed as well."""

    form: Form
    many: bool = False
    nullable: bool = False


def form_fields(cls: type[BaseModel]) -> dict[str, FormField]:
    """Return the fields of a class that a comparison file fills with a form of their own, by name."""
    found = {name: _form_field(info.annotation) for name, info in cls.model_fields.items()}
    return {name: field for name, field in found.items() if field is not None}


def holds_stage(annotation: Any) -> bool:
    """Return whether a field of this type is a stage, which a comparison file cannot write."""
    options = _options(annotation) - {type(None)}
    return bool(options) and all(isinstance(option, type) and issubclass(option, Stage) for option in options)


def _form_field(annotation: Any) -> FormField | None:
    options = _options(annotation)
    nullable = type(None) in options
    options -= {type(None)}
    if len(options) == 1:
        (only,) = options
        if get_origin(only) is tuple and get_args(only)[1:] == (Ellipsis,):
            form = _form(_options(get_args(only)[0]))
            return None if form is None else FormField(form, many=True, nullable=nullable)
    form = _form(options)
    return None if form is None else FormField(form, nullable=nullable)


def _form(options: frozenset[Any]) -> Form | None:
    """Return what all options are one kind of, None when there is no such kind."""
    if not options or not all(isinstance(option, type) for option in options):
        return None
    for word, base in _PLUGINS.items():
        if all(issubclass(option, base) for option in options):
            return word
    return next((word for word, union in _UNIONS.items() if options <= _options(union)), None)


def _options(annotation: Any) -> frozenset[Any]:
    """Return the alternatives of a type, those inside unions and annotations included."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _options(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return frozenset().union(*(_options(part) for part in get_args(annotation)))
    return frozenset({annotation})
