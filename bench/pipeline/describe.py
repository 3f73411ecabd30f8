"""Policies, data and settings as a report describes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.data import DataSpec, Made, Mixture
from bench.core.formats.gguf_header import SUFFIX
from bench.core.frozen import Frozen, Open, address, encode
from bench.core.policy import BestOf, Built, Instructed, Outputs, PolicySpec, Pretrained, Proxy, Tuned


def described(value: Any) -> Any:
    """Return the JSON form of a value for readers of other machines: a file by its name, not by its place."""
    if isinstance(value, Frozen):
        told = {*value.identifying(), *value.LOCATIONS}
        body = {name: described(getattr(value, name)) for name in type(value).model_fields if name in told}
        for name in value.LOCATIONS & body.keys():
            body[name] = Path(body[name]).name if isinstance(body[name], str) else body[name]
        return {"is": describe_class(type(value)), **body} if isinstance(value, Open) else body
    if isinstance(value, Mapping):
        return {name: described(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [described(item) for item in value]
    return encode(value)


def describe_class(cls: type[Open]) -> str:
    """Return what readers know a class by, wherever our modules lie: its NAME, or the KIND of a stage.

    A method has neither; its file in the package ``methods`` is its name. A file beside the comparison has its name.
    """
    module, _, name = address(cls).rpartition(":")
    place = f"{Path(module).name}:{name}"
    return place if module.startswith("file:") else str(getattr(cls, "NAME", getattr(cls, "KIND", place)))


def describe_policy(value: PolicySpec) -> str:
    """Return a short description of a policy for the report."""
    match value:
        case Pretrained() | Outputs():
            return describe_brought(value)
        case Built():
            return f"{value.by.KIND} ({short_fields(value.by)})"
        case Tuned():
            return f"{value.by.KIND} on {describe_policy(value.base)}"
        case Instructed():
            return f"{describe_policy(value.base)}, instructed: {value.instruction}"
        case BestOf():
            return f"best of {value.n} from {describe_policy(value.base)}"
        case Proxy():
            expert, antiexpert = describe_policy(value.expert), describe_policy(value.antiexpert)
            return f"{describe_policy(value.base)} + {value.alpha:g} x ({expert} - {antiexpert})"


def describe_brought(value: Pretrained | Outputs) -> str:
    """Return a short description of what was made elsewhere: a model with its adapters, or outputs."""
    if isinstance(value, Outputs):
        return f"{Path(value.path).name} (outputs made elsewhere)"
    kind = "GGUF file" if str(value.path).endswith(SUFFIX) else "local folder"
    model = f"{value.repo}@{value.revision}" if value.repo else f"{Path(value.path or '').name} ({kind})"
    if value.load_in is not None:
        model += f", linear weights kept in {value.load_in}"
    adapters = (f"{one.repo}@{one.revision}" if one.repo else Path(one.path or "").name for one in value.adapters)
    return " + ".join([model, *(f"adapter {name}" for name in adapters)])


def describe_data(value: DataSpec) -> str:
    """Return a short description of a data set for the report."""
    match value:
        case Made():
            return f"{value.by.KIND} ({short_fields(value.by)})"
        case Mixture():
            return "; ".join(f"{part.weight:g} x {describe_data(part.data)}" for part in value.parts)
    name = Path(value.path).name if value.hub is None else f"{value.hub.repo}@{value.hub.commit[:12]}"
    return f"{name}, sha256 {value.digest[:12]}"


def short_fields(stage: Any) -> str:
    """Return the plain fields of a stage as ``name=value``."""
    fields = {name: getattr(stage, name) for name in type(stage).model_fields}
    return ", ".join(f"{name}={value}" for name, value in fields.items() if isinstance(value, str | int | float))
