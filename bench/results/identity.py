"""What must be equal in two runs for their values to be comparable: prompts, decoding, tasks, judges, versions."""

from __future__ import annotations

from typing import Any

from bench.core.frozen import Frozen


class TaskIdentity(Frozen):
    """A task: its version, the digest of its prompts with their clusters, its decoding, and its settings by name."""

    version: int
    prompts: str
    decoding: dict[str, Any] = {}
    settings: dict[str, Any] = {}


class JudgeIdentity(Frozen):
    """A judge: its name and version, and its settings by name, the digest of its template or word list among them."""

    judge: str
    version: int
    settings: dict[str, Any] = {}


class RunIdentity(Frozen):
    """What a run measured with. ``judges`` by use and label (``win_rate:gold``); ``stages``: evaluation versions."""

    tasks: dict[str, TaskIdentity]
    judges: dict[str, JudgeIdentity]
    draws: int
    orders: str
    stages: dict[str, int]


# Settings of a judge that say which text it is asked with.
TEMPLATE_SETTINGS = frozenset({"digest", "prompt", "path", "template", "template_digest", "prompt_digest"})


def differences(now: RunIdentity, then: RunIdentity) -> list[str]:
    """Return what differs, a sentence each, in the order: versions, tasks, judges, decoding; empty for comparable runs.

    A task or judge that only one of the runs has is no difference: a criterion about it will say so.
    """
    found = []
    for kind in sorted(now.stages.keys() & then.stages.keys()):
        if now.stages[kind] != then.stages[kind]:
            versions = f"version {then.stages[kind]} then, {now.stages[kind]} now"
            found.append(f"the evaluation step '{kind}' computes something else ({versions})")
    for name in sorted(now.tasks.keys() & then.tasks.keys()):
        found += _of_task(name, now.tasks[name], then.tasks[name])
    for name in sorted(now.judges.keys() & then.judges.keys()):
        found += _of_judge(name.partition(":")[2], now.judges[name], then.judges[name])
    if now.draws != then.draws:
        found.append(f"decoding: {then.draws} draws per prompt then, {now.draws} now")
    if now.orders != then.orders:
        found.append(f"judging: orders '{then.orders}' then, '{now.orders}' now")
    return found


def changed_settings(now: dict[str, Any], then: dict[str, Any]) -> list[str]:
    """Return ``name: old -> new`` for every setting that differs, nested ones by their dotted names."""
    new, old = flat(now), flat(then)
    return [
        f"{name}: {shown(old.get(name))} -> {shown(new.get(name))}"
        for name in sorted(new.keys() | old.keys())
        if new.get(name) != old.get(name)
    ]


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return the leaves of nested mappings by their dotted names."""
    if not isinstance(value, dict):
        return {name: value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found.update(flat(item, f"{name}.{key}" if name else str(key)))
    return found


def shown(value: Any) -> str:
    """Return a setting in a few characters: a digest by its beginning, a dash for nothing."""
    if value is None:
        return "none"
    text = str(value)
    return text if len(text) <= 24 else f"{text[:16]}..."


def _of_task(name: str, now: TaskIdentity, then: TaskIdentity) -> list[str]:
    if now.version != then.version:
        return [f"task {name}: version {then.version} then, {now.version} now"]
    found = []
    if now.prompts != then.prompts:
        found.append(f"task {name}: other prompts (digest {then.prompts[:12]} then, {now.prompts[:12]} now)")
    if now.decoding != then.decoding:
        found.append(f"task {name}: other decoding ({'; '.join(changed_settings(now.decoding, then.decoding))})")
    if not found and now.settings != then.settings:
        found.append(f"task {name}: other settings ({'; '.join(changed_settings(now.settings, then.settings))})")
    return found


def _of_judge(label: str, now: JudgeIdentity, then: JudgeIdentity) -> list[str]:
    if now.judge != then.judge:
        return [f"judge {label}: another kind ({then.judge} then, {now.judge} now)"]
    if now.version != then.version:
        return [f"judge {label}: version {then.version} then, {now.version} now"]
    if now.settings == then.settings:
        return []
    changes = changed_settings(now.settings, then.settings)
    names = {change.partition(":")[0] for change in changes}
    what = "another template or word list" if names & TEMPLATE_SETTINGS else "other settings"
    return [f"judge {label}: {what} ({'; '.join(changes)})"]
