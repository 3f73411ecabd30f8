"""Values as a comparison file writes them, for readers: the reverse of reading, in short."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.frozen import PLUGIN_PREFIX, Frozen, Open
from bench.core.judge import Judge
from bench.core.method import Method
from bench.core.reward import FileReward, JudgeReward, MixedReward, ModelReward
from bench.core.task import Task

_WORDS: dict[str, type[Open]] = {"method": Method, "judge": Judge, "task": Task}


def written(value: Any) -> Any:
    """Return a value of a plug-in's field as plain data, in the form that a comparison file gives it."""
    if isinstance(value, ModelReward | FileReward | JudgeReward | MixedReward):
        return _reward(value)
    if isinstance(value, Method | Judge | Task):
        return _plugin(next(word for word, base in _WORDS.items() if isinstance(value, base)), value)
    if isinstance(value, Frozen):
        return {name: written(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {name: written(item) for name, item in value.items()}
    if isinstance(value, tuple | list | frozenset):
        return [written(item) for item in (sorted(value) if isinstance(value, frozenset) else value)]
    return value


def _reward(value: ModelReward | FileReward | JudgeReward | MixedReward) -> Any:
    match value:
        case ModelReward():
            return "model"
        case FileReward():
            return value.path
        case JudgeReward():
            judge = written(value.judge)
            own = judge if isinstance(judge, dict) else {"judge": judge}
            return own if value.task is None else {**own, "task": written(value.task)}
        case MixedReward():
            return [{"reward": written(part.reward), "weight": part.weight} for part in value.parts]


def _plugin(word: str, value: Open) -> str | dict[str, Any]:
    """Return a plug-in's name, or a mapping with those of its fields that are not at their defaults."""
    infos = type(value).model_fields
    changed = {
        name: written(getattr(value, name))
        for name, info in infos.items()
        if info.is_required() or getattr(value, name) != info.get_default(call_default_factory=True)
    }
    name = _name(type(value))
    return {word: name, **changed} if changed else name


def _name(cls: type[Open]) -> str:
    if cls.__module__.startswith(PLUGIN_PREFIX):
        return f"./{Path(sys.modules[cls.__module__].__file__ or '').name}"
    return str(getattr(cls, "NAME", cls.__module__.rpartition(".")[2]))
