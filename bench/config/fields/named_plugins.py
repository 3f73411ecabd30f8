"""Plug-ins that a comparison names: ``NAME``, or a mapping with the name and fields of its own.

A field of a plug-in may hold a plug-in itself, or a policy, data or a reward (``bench.config.fields.forms``); those
are read here too, to any depth, each problem with its own key path.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from bench.config.document.problems import KeyPath, shown
from bench.config.document.section import UNREAD, Section, as_written
from bench.config.fields.data_sources import COLUMNS, PREFERENCES, read_data
from bench.config.fields.forms import Form, form_fields, holds_stage
from bench.config.fields.named_files import digest_of
from bench.config.fields.sources import POLICY_FORMS, read_checkpoint, read_policy
from bench.core.errors import BenchError, did_you_mean
from bench.core.files import kind_at
from bench.core.frozen import Open, load_file
from bench.core.judge import Judge
from bench.core.plugins import JUDGE, METHOD, TASK, Kind, find
from bench.core.reward import FileReward, JudgeReward, MixedReward, ModelReward, Part, RewardSpec

P = TypeVar("P", bound=Open)
PATH, DIGEST = "path", "digest"
LIKELIHOOD = "likelihood"  # the judge that a policy stands for where a judge is wanted
MODEL = "model"
REWARD, WEIGHT = PART_KEYS = ("reward", "weight")
_REWARD_FORMS = "write `model`, a file `./reward.py`, {judge: NAME, ...}, or a list of these"


def settable(cls: type[Open]) -> list[str]:
    """Return the fields of a plug-in that a comparison file sets: all but those that are computed.

    These are the digest of a file it reads, and stages, which only a plan can make.
    """
    computed = DIGEST if reads_file(cls) else None
    return [name for name, info in cls.model_fields.items() if name != computed and not holds_stage(info.annotation)]


def reads_file(cls: type[Open]) -> bool:
    """Return whether a plug-in reads a file, whose path is given and whose digest is computed."""
    return {PATH, DIGEST} <= set(cls.model_fields)


def read_plugin(
    section: Section, path: KeyPath, item: Any, kind: Kind[P], beside: Collection[str] = ()
) -> P | None:  # fmt: skip
    """Return one plug-in; None, and the problems reported, when it is wrong.

    ``beside`` are keys of a mapping that belong to whoever asks and not to the plug-in.
    """
    word = kind.word
    fields = {word: item} if isinstance(item, str) else item
    if not isinstance(fields, dict) or not isinstance(fields.get(word), str):
        got = as_written(item) if not isinstance(item, dict) else f"a mapping without a text under '{word}'"
        section.problem(path, f"must be the name of a {word} or a mapping {{{word}: NAME, ...}}, not {got}")
        return None
    at = path if isinstance(item, str) else (*path, word)
    try:
        cls = section.plugin(kind, at, fields[word], fields)
    except BenchError as error:
        section.refused(at, error)
        return None
    if not isinstance(cls, type):
        return cls
    taken = [name for name in (word, *beside) if name in cls.model_fields]
    if taken:
        section.problem(at, f"{cls.__name__} has a field '{taken[0]}', which the comparison file needs for itself")
        return None
    own = own_keys(section, cls, path, fields, (word, *beside))
    return build_plugin(section, cls, path, own)


def own_keys(
    section: Section, cls: type[Open], path: KeyPath, fields: dict[str, Any], beside: Collection[str]
) -> dict[str, Any]:
    """Return the keys of a mapping that a plug-in of a class reads itself; report those that nothing reads.

    ``beside`` are keys that belong to whoever asks. A class that spreads a field has the keys of that field, which
    whoever reads it checks.
    """
    known = fields if cls.SPREAD else section.keys(path, fields, [*beside, *settable(cls)]) or {}
    return {key: value for key, value in known.items() if key not in beside}


def build_plugin(section: Section, cls: type[P], path: KeyPath, fields: Mapping[str, Any]) -> P | None:
    """Return a plug-in with the fields at a key path, those read first that hold plug-ins, policies, data or rewards.

    ``fields`` are known ones. None, and the problems reported, when something in them is wrong.
    """
    computed: dict[str, Any] = {}
    if cls.SPREAD:
        policy = read_checkpoint(section, path, fields)
        return None if policy is None else section.build(cls, path, {}, {cls.SPREAD: policy})
    if reads_file(cls):
        file = _file_fields(section, path, fields, cls)
        computed.update(dict.fromkeys((PATH, DIGEST), UNREAD) if file is None else file)
    for name, field in form_fields(cls).items():
        value = fields.get(name)
        if name not in fields or name in computed or (value is None and field.nullable):
            continue
        here = (*path, name)
        if not field.many:
            found = read_form(section, here, value, field.form)
            computed[name] = UNREAD if found is None else found
            continue
        items = [
            read_form(section, (*here, index), item, field.form)
            for index, item in enumerate(section.items(here, value, field.form))
        ]
        computed[name] = UNREAD if not items or any(item is None for item in items) else tuple(items)
    return section.build(cls, path, fields, computed)


def read_judge(section: Section, path: KeyPath, item: Any, beside: Collection[str] = ()) -> Judge | None:
    """Return a judge that stands on its own; one that takes something from an arm is reported.

    ``NAME``, a mapping ``{judge: NAME, ...}``, or a policy, which judges by its likelihood. ``beside``: see
    ``read_plugin``.
    """
    judge = read_any_judge(section, path, item, beside)
    if judge is not None and judge.takes_from_arm():
        what = f"the judge '{judge.NAME}' takes a model from an arm, and an arm cannot rest on one"
        section.problem(path, what, "name another judge here; this one can stand under `evaluate:`")
        return None
    return judge


def read_any_judge(section: Section, path: KeyPath, item: Any, beside: Collection[str] = ()) -> Judge | None:
    """Return a judge, one that takes something from an arm included; see ``read_judge``."""
    if not (isinstance(item, dict) and JUDGE.word not in item and POLICY_FORMS.keys() & item.keys()):
        return read_plugin(section, path, item, JUDGE, beside)
    policy = read_policy(section, path, {key: value for key, value in item.items() if key not in beside})
    try:
        cls = find(JUDGE, LIKELIHOOD, section.place(path).folder)
    except BenchError as error:
        section.refused(path, error)
        return None
    return None if policy is None else section.build(cls, path, {}, {"policy": policy})


def read_reward(section: Section, path: KeyPath, value: Any) -> RewardSpec | None:
    """Return a reward, or the weighted sum of a list of them; None, and the problems reported, when it is wrong."""
    if not isinstance(value, list):
        return _one_reward(section, path, value)
    parts = [_part(section, (*path, index), item) for index, item in enumerate(section.items(path, value, "reward"))]
    right = [part for part in parts if part is not None]
    return MixedReward(parts=tuple(right)) if right and len(right) == len(parts) else None


def _part(section: Section, path: KeyPath, item: Any) -> Part | None:
    if not (isinstance(item, dict) and REWARD in item):
        reward = _one_reward(section, path, item)
        return None if reward is None else Part(reward=reward)
    fields = section.keys(path, item, PART_KEYS) or {}
    reward = _one_reward(section, (*path, REWARD), item[REWARD])
    computed = {REWARD: UNREAD if reward is None else reward}
    return section.build(Part, path, fields, computed)


def _one_reward(section: Section, path: KeyPath, value: Any) -> ModelReward | JudgeReward | FileReward | None:
    if value == MODEL:
        return ModelReward()
    if isinstance(value, str) and value.endswith(".py"):
        return _file_reward(section, path, value)
    if isinstance(value, dict):
        return _judge_reward(section, path, value)
    what = f"unknown reward '{value}'. {did_you_mean(value, [MODEL])}" if isinstance(value, str) else None
    section.problem(path, what or f"must be a reward, not {as_written(value)}", _REWARD_FORMS)
    return None


def _judge_reward(section: Section, path: KeyPath, fields: dict[str, Any]) -> JudgeReward | None:
    if JUDGE.word not in fields and not POLICY_FORMS.keys() & fields.keys():
        got = ", ".join(map(str, fields)) or "nothing"
        section.problem(path, f"a reward as a mapping needs `judge`, and this one has {got}", _REWARD_FORMS)
        return None
    before = section.count
    judge = read_judge(section, path, fields, beside=(TASK.word,))
    try:
        if judge is not None:
            judge.check("rate")
    except BenchError as error:
        section.unusable(path, error)
    task = read_plugin(section, (*path, TASK.word), fields[TASK.word], TASK) if TASK.word in fields else None
    return None if judge is None or section.count > before else JudgeReward(judge=judge, task=task)


def _file_reward(section: Section, path: KeyPath, text: str) -> FileReward | None:
    file = section.resolve(path, text)
    if section.files.lacks(file) or not section.files.EXECUTES:
        return FileReward(path=str(file), digest=section.files.digest(file, lambda: digest_of(file)))
    try:
        function = getattr(load_file(file), REWARD, None)
    except BenchError:
        section.problem(path, f"{shown(file)}: no such file", "the path starts from the folder of the file it is in")
        return None
    except Exception as error:  # noqa: BLE001 - a user's file may fail in any way; the reason is reported
        section.problem(path, f"{shown(file)} cannot be imported: {type(error).__name__}: {error}")
        return None
    if not callable(function):
        what = f"{shown(file)} defines no function `{REWARD}`"
        section.problem(path, what, "write `def reward(prompts, responses)`, which returns one number for each")
        return None
    return FileReward(path=str(file), digest=digest_of(file))


def read_form(section: Section, path: KeyPath, value: Any, form: Form) -> Any:
    """Return what a field of that form holds, None when it is wrong, which is reported."""
    match form:
        case "method":
            return read_plugin(section, path, value, METHOD)
        case "task":
            return read_plugin(section, path, value, TASK)
        case "judge":
            return read_judge(section, path, value)
        case "policy":
            return read_policy(section, path, value)
        case "data":
            return read_data(section, path, value, COLUMNS.get(str(path[-1]), COLUMNS[PREFERENCES]))
        case "reward":
            return read_reward(section, path, value)


def _file_fields(
    section: Section, path: KeyPath, fields: Mapping[str, Any], cls: type[Open]
) -> dict[str, str | None] | None:
    """Return the absolute path and the digest of the file that a plug-in reads; None when it cannot be had.

    The digest of a file to come is None until it is there.
    """
    here, to_come = (*path, PATH), cls.FILE_TO_COME
    given = fields.get(PATH, to_come)
    if given is None and PATH not in fields:
        if not cls.model_fields[PATH].is_required():
            return {}
        section.problem(here, "is missing", f"{cls.__name__} reads a file: add `path: ...`")
        return None
    if not isinstance(given, str):
        section.problem(here, f"must be text, not {as_written(given)}")
        return None
    file = section.resolve(here, given)
    if kind_at(file) is None and to_come is None and not section.files.lacks(file):
        section.problem(here, f"{shown(file)}: no such file", "the path starts from the folder of the file it is in")
        return None
    try:
        there = section.files.digest(file, lambda: digest_of(file)) if to_come is None else section.files.to_come(file)
        return {PATH: str(file), DIGEST: there}
    except BenchError as error:
        section.refused(here, error)
        return None
