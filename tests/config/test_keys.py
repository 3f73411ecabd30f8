"""Every key of a comparison file is read: changing any leaf of a maximal file changes the Comparison, or is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.config.comparison import Comparison
from bench.config.document import positions
from bench.config.load import load_comparison
from bench.core.errors import ConfigError
from bench.core.frozen import digest
from tests.config.conftest import RIGHT, write_rows

# A file in which every key of the schema stands, and for each leaf another value that is also right.
MAXIMAL = yaml.safe_load(RIGHT)
MAXIMAL["given"]["base"] = {"path": "whole", "template": "Q: {prompt}", "dtype": "float16", "end_token": "</s>"}
MAXIMAL["given"]["demonstrations"] = {"world": "./world.py", "split": "demonstrations", "limit": 5, "noise": 1}
MAXIMAL["given"]["preferences"]["limit"] = 5
MAXIMAL["given"]["lora"] = {"rank": 4, "alpha": 8.0, "dropout": 0.1, "targets": ["q_proj"]}
MAXIMAL["methods"]["tuned"].update(
    epochs=2, loss="hinge", layers=[1], schedule={"warmup": 3, "shape": "cosine"}, shuffle=False, note="x", lora="none"
)
MAXIMAL["methods"]["again"] = {**copy.deepcopy(MAXIMAL["methods"]["tuned"]), "replicate": "second"}
MAXIMAL["evaluate"]["tasks"][0] = {"task": "./task.py", "split": "dev", "limit": 3, "temperature": 0.5}
MAXIMAL["evaluate"]["tasks"].append({"lm_eval": "atlas_facts", "limit": 5, "num_fewshot": 1, "prompt": "chat"})
MAXIMAL["evaluate"]["tax"] = {"versus": "floor", "margin": 0.1}
MAXIMAL["evaluate"]["contrasts"] = [["floor", "again"]]
MAXIMAL["statistics"] = {
    "level": 0.9, "correction": "none", "resamples": 500, "missing": "drop_prompts", "interval": "t", "detect": 0.05,
    "test": "t", "seed_variance": "moderated",
    "primary": {"metric": "win_rate", "judge": "stub_judge"}, "secondary": "beside",
}  # fmt: skip
MAXIMAL["gate"][1].update(task="questions", metric="ended")
MAXIMAL["gate"].append({"metric": "ended", "method": "again", "versus": "tuned", "equivalent_within": 0.1})
MAXIMAL["given"].update(dtype="bfloat16", keep="bfloat16")
MAXIMAL["given"]["small"] = {"world": "./world.py", "size": "small", "noise": 1}
MAXIMAL["given"]["prompts"] = {"path": "prompts.jsonl", "columns": {"facts": "truth", "kind": "prompt"}, "limit": 9}
MAXIMAL["given"]["labeller"] = {"judge": "./judge.py", "margin": 1.5}
MAXIMAL["methods"]["outer"] = {
    "method": "./outer.py",
    "then": {"method": "./tuned.py", "beta": 0.3, "schedule": {"warmup": 5}},
    "labeller": {"judge": "./judge.py", "margin": 0.25},
    "panel": ["./judge.py", {"judge": "./strict.py", "margin": 0.5}],
    "task": {"task": "./task.py", "split": "dev"},
    "anchor": {"path": "whole", "template": "A: {prompt}"},
    "pairs": {"path": "pairs.jsonl", "columns": {"chosen": "better"}, "limit": 3},
    "reward": [{"reward": "./reward.py", "weight": 0.5}, {"judge": "./judge.py", "margin": 0.5, "task": "./task.py"}],
}
MAXIMAL["evaluate"]["win_rate"]["judges"][1]["name"] = "strict"
MAXIMAL["evaluate"]["win_rate"]["retest"] = 20
MAXIMAL["evaluate"]["win_rate"]["length_control"] = {
    "model": "glm",
    "difficulty": "by_id",
    "difficulty_file": "difficulty.csv",
    "calibration": ["again"],
}
MAXIMAL["evaluate"]["ratings"] = [{"judge": "./judge.py", "name": "rater", "margin": 1.0}]
MAXIMAL["evaluate"]["divergence"] = {"from": "floor"}
MAXIMAL["evaluate"]["labelling"] = {
    "data": {"path": "pairs.jsonl", "columns": {"chosen": "better", "margin": "by"}},
    "judges": [{"judge": "./judge.py", "name": "labeller"}],
    "limit": 7,
}
MAXIMAL["evaluate"]["gap_closed"] = [
    {"of": "again", "from": "floor", "to": "tuned", "metric": "accuracy"},
    {"of": "again", "from": "floor", "to": "tuned", "judge": "stub_judge"},
]
MAXIMAL["evaluate"]["tasks"].append("./checked.py")
MAXIMAL["evaluate"]["factuality"] = {
    "tasks": ["questions"],
    "extractor": {"extractor": "./extractor.py", "most": 2},
    "verifier": {"verifier": "./verifier.py", "strictness": 0.25},
    "knowledge": {
        "path": "pages.jsonl",
        "retriever": {"retriever": "./retriever.py", "from_end": True},
        "passages": 3,
        "words": 20,
    },
    "gamma": 5.0,
}
OTHER = {  # what a leaf may be changed to where adding to it is not right; an unknown leaf fails the test
    "given.base.path": "other",
    "given.base.dtype": "float32",
    "given.base.end_token": "<|im_end|>",
    "given.dtype": "float32",
    "given.keep": "float32",
    "given.demonstrations.world": "./world2.py",
    "given.demonstrations.split": "preferences",
    "given.preferences.path": "pairs2.jsonl",
    "given.preferences.columns.chosen": "prompt",
    "given.lora.dropout": 0.2,
    "given.small.world": "./world2.py",
    "given.small.size": "large",
    "given.prompts.path": "prompts2.jsonl",
    "given.prompts.columns.facts": "prompt",
    "given.prompts.columns.kind": "truth",
    "given.labeller.judge": "./judge2.py",
    "given.seeds.0": 5,
    "given.budget.axis": "tokens",
    "methods.floor.method": "./floor2.py",
    "methods.tuned.method": "./tuned2.py",
    "methods.again.method": "./tuned2.py",
    "methods.tuned.loss": "sigmoid",
    "methods.tuned.schedule.shape": "linear",
    "methods.tuned.lora": {"rank": 9},
    "methods.outer.method": "./outer2.py",
    "methods.outer.then.method": "./tuned2.py",
    "methods.outer.labeller.judge": "./judge2.py",
    "methods.outer.panel.0": "./judge2.py",
    "methods.outer.panel.1.judge": "./strict2.py",
    "methods.outer.task.task": "./task2.py",
    "methods.outer.task.split": "evaluation",
    "methods.outer.anchor.path": "other",
    "methods.outer.pairs.path": "pairs2.jsonl",
    "methods.outer.pairs.columns.chosen": "prompt",
    "methods.outer.reward.0.reward": "./reward2.py",
    "methods.outer.reward.1.judge": "./judge2.py",
    "methods.outer.reward.1.task": "./task2.py",
    "evaluate.tasks.0.task": "./task2.py",
    "evaluate.tasks.0.split": "evaluation",
    "evaluate.tasks.1.task": "./file_task2.py",
    "evaluate.tasks.1.path": "other.txt",
    "evaluate.tasks.2.lm_eval": "atlas_answers",
    "evaluate.tasks.2.prompt": "text",
    "evaluate.tax.versus": "tuned",
    "evaluate.win_rate.judges.0": "./judge2.py",
    "evaluate.win_rate.judges.1.judge": "./strict2.py",
    "evaluate.win_rate.judges.1.name": "stricter",
    "evaluate.ratings.0.judge": "./judge2.py",
    "evaluate.ratings.0.name": "other",
    "evaluate.divergence.from": "tuned",
    "evaluate.labelling.data.path": "pairs2.jsonl",
    "evaluate.labelling.data.columns.chosen": "prompt",
    "evaluate.labelling.data.columns.margin": "prompt",
    "evaluate.labelling.judges.0.judge": "./judge2.py",
    "evaluate.labelling.judges.0.name": "other",
    "evaluate.tasks.3": "./checked2.py",
    "evaluate.factuality.tasks.0": "checkable",
    "evaluate.factuality.extractor.extractor": "./extractor2.py",
    "evaluate.factuality.verifier.verifier": "./verifier2.py",
    "evaluate.factuality.knowledge.path": "pages2.jsonl",
    "evaluate.factuality.knowledge.retriever.retriever": "./retriever2.py",
    "evaluate.gap_closed.0.of": "outer",
    "evaluate.gap_closed.0.from": "outer",
    "evaluate.gap_closed.0.to": "outer",
    "evaluate.gap_closed.0.metric": "win_rate",
    "evaluate.gap_closed.1.of": "outer",
    "evaluate.gap_closed.1.from": "outer",
    "evaluate.gap_closed.1.to": "outer",
    "evaluate.gap_closed.1.judge": "strict",
    "evaluate.win_rate.versus": "tuned",
    "evaluate.win_rate.orders": "first",
    "evaluate.win_rate.length_control.model": "log_ratio",
    "evaluate.win_rate.length_control.difficulty": "estimated",
    "evaluate.win_rate.length_control.difficulty_file": "difficulty2.csv",
    "evaluate.win_rate.length_control.calibration.0": "tuned",
    "evaluate.contrasts.0.0": "tuned",
    "evaluate.contrasts.0.1": "tuned",
    "statistics.level": 0.8,
    "statistics.correction": "holm",
    "statistics.missing": "refuse",
    "statistics.interval": "bca",
    "statistics.test": "betting",
    "statistics.seed_variance": "own",
    "statistics.primary.metric": "length_controlled_win_rate",
    "statistics.primary.judge": "strict",
    "statistics.secondary": "after_primary",
    "gate.0.metric": "ended",
    "gate.0.method": "again",
    "gate.0.versus": "again",
    "gate.0.judge": "strict",
    "gate.1.metric": "accuracy",
    "gate.1.method": "again",
    "gate.1.versus": "again",
    "gate.1.task": "from_file",
    "gate.2.metric": "response_tokens",
    "gate.2.method": "floor",
    "gate.2.versus": "floor",
}


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    parts: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if parts is None:
        yield path
        return
    for key, item in parts:
        yield from leaves(item, (*path, key))


def changed(value: Any, path: tuple[str | int, ...]) -> Any:
    """The maximal file with one leaf changed; what a replicate shares with the arm it repeats, in both."""
    result = copy.deepcopy(value)
    arms = ("tuned", "again") if path[:2] == ("methods", "tuned") else (path[1],) if len(path) > 1 else ()
    for at in [(path[0], arm, *path[2:]) for arm in arms] or [path]:
        container = result
        for key in at[:-1]:
            container = container[key]
        container[at[-1]] = other_than(container[at[-1]], ".".join(str(part) for part in path))
    return result


def other_than(old: Any, name: str) -> Any:
    if name in OTHER:
        return OTHER[name]
    if isinstance(old, bool):
        return not old
    return old + 1 if isinstance(old, int | float) else f"{old} more"


def outcome(folder: Path, value: Any) -> Comparison | str:
    """What a file loads to, or why it does not."""
    (folder / "comparison.yaml").write_text(json.dumps(value), encoding="utf-8")
    try:
        return load_comparison(folder)
    except ConfigError as error:
        return str(error)


class Quick(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The loader of comparison files with the parser in C, where there is one: half the time of 150 loads."""

    yaml_implicit_resolvers = positions._Loader.yaml_implicit_resolvers


def test_no_key_is_ignored(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions, "_Loader", Quick)
    plugins = ("world", "floor", "tuned", "task", "file_task", "checked", "judge", "strict", "outer", "reward")
    for stub in (*plugins, "extractor", "retriever", "verifier"):
        text = (place / f"{stub}.py").read_text()
        (place / f"{stub}2.py").write_text(text + "\n# another file\n")
    write_rows(place / "pairs2.jsonl", {"prompt": "x", "better": "y", "rejected": "z"})
    for name in ("prompts", "prompts2"):
        write_rows(place / f"{name}.jsonl", {"prompt": name, "truth": {"x": "y"}})
    for name in ("pages", "pages2"):
        write_rows(place / f"{name}.jsonl", {"title": name, "text": "x"})
    for name, value in (("difficulty", 0.5), ("difficulty2", 0.75)):
        rows = f"instruction,instruction_difficulty\nhello,{value}\n"
        (place / f"{name}.csv").write_text(rows)
    right = outcome(place, MAXIMAL)
    assert isinstance(right, Comparison), right
    paths = list(leaves(MAXIMAL))
    assert len(paths) >= 115
    refused = []
    for path in paths:
        key = ".".join(str(part) for part in path)
        other = outcome(place, changed(MAXIMAL, path))
        assert other != right, f"{key} changes nothing"
        if isinstance(other, str):
            refused.append(key)
        else:
            # Not only a location: the identity moves too.
            assert digest(other) != digest(right), f"{key} changes no identity"
    # A change in `again` alone leaves a replicate that repeats nothing, only a win rate has a judge, two seeds have no
    # bootstrap interval and no bets, a gatekeeper needs a correction, and only one length control reads a file of
    # difficulties: all are refused, so the key is read.
    control = "evaluate.win_rate.length_control"
    expected = {
        "gate.0.metric",
        "statistics.interval",
        "statistics.test",
        "statistics.secondary",
        f"{control}.model",
        f"{control}.difficulty",
        # Every row is looked at, and what another column or file holds is refused.
        "given.prompts.columns.kind",
        "given.prompts.columns.facts",
        "evaluate.labelling.data.path",
        "evaluate.labelling.data.columns.margin",
    }
    assert {key for key in refused if not key.startswith("methods.again.")} == expected
    assert "methods.again.replicate" not in refused
