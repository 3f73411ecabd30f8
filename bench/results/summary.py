"""The run summary: what the report needs beside records and contrasts. Plain data, written by the runner."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import model_validator

from bench.core.frozen import Frozen
from bench.core.metrics import WIN_RATE, MetricInfo
from bench.core.reward import REWARD_MODEL_KIND
from bench.results.documents import CHECKSUM, RUN_AGAIN, JsonFile, checksum


class StageFacts(Frozen):
    """What a finished stage cost and where it ran, from its manifest, and what a training stage logged.

    ``log``: every logged quantity as a column, thinned to at most 100 rows; a row that lacks one has None.
    ``diagnostics``: the mapping that the stage wrote. ``data``: what it was trained on, in words.
    """

    kind: str
    cost: dict[str, float]
    provenance: dict[str, Any]
    log: dict[str, tuple[float | None, ...]] = {}
    diagnostics: dict[str, Any] = {}
    data: str = ""

    def rows(self) -> list[dict[str, float]]:
        """Return the log row by row, without what a row lacks."""
        columns = zip(*self.log.values(), strict=True)
        return [
            {name: value for name, value in zip(self.log, row, strict=True) if value is not None} for row in columns
        ]


class ArmAtSeed(Frozen):
    """One arm at one training seed: the keys of all stages its policy rests on, inputs first, and of its answers."""

    stages: tuple[str, ...]
    answers: tuple[str, ...] = ()


class ArmFacts(Frozen):
    """What an arm is: the method's name, its hyper-parameters, the first line of its documentation.

    ``brought``: the models and outputs made elsewhere that it is made of, beside the base that all arms are given.
    What these cost is not known.
    """

    method: str
    fields: dict[str, Any]
    lora: dict[str, Any] | None
    replicate: str | None
    about: str
    runs: dict[str, ArmAtSeed]
    brought: tuple[str, ...] = ()


class Missing(Frozen):
    """A cell that has no rows, and why: of which measurement, and about which arms, seed, task and judge.

    ``call``: 1 where it is a judge asked once more with other noise.
    ``leaves_out``: what nothing is concluded about: the ``arm``, the ``judge`` by its ``metrics``, or ``nothing``,
    where all conclusions stand. A file of a version before these fields does not say of which measurement a cell is,
    and has the names of judges only where their win rates are left out.
    """

    measurement: str | None = None
    arm: str | None
    run: int | None
    task: str | None
    reason: str
    judge: str | None = None
    versus: str | None = None
    call: int = 0
    leaves_out: Literal["arm", "judge", "nothing"] = "arm"
    metrics: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_version(cls, fields: Any) -> Any:
        if isinstance(fields, Mapping) and "leaves_out" not in fields and fields.get("judge") is not None:
            return {"measurement": "win_rate", **fields, "leaves_out": "judge", "metrics": (WIN_RATE.name,)}
        return fields

    def named(self) -> str:
        """Return the measurement, as far as it is known, and what the cell is about."""
        arms = " vs ".join(arm for arm in (self.arm, self.versus) if arm is not None)
        judge = None if self.judge is None else f"judge {self.judge}"
        seed, task = f"seed {self.run}" if self.run is not None else None, f"task {self.task}" if self.task else None
        about = ", ".join(part for part in (arms, seed, task, judge, "second call" if self.call else "") if part)
        return about if self.measurement is None else f"{self.measurement} ({about})"


def _in_words(cells: Sequence[Missing]) -> str:
    """Return one line about cells that are missing for one reason."""
    first = cells[0]
    if len(cells) == 1:
        return f"{first.named()}: {first.reason}"
    if first.leaves_out != "judge":
        return f"{first.named()}: {first.reason} ({len(cells)} cells)"
    arms = sorted({arm for cell in cells for arm in (cell.arm, cell.versus) if arm is not None})
    seeds = sorted({str(cell.run) for cell in cells if cell.run is not None})
    whose = "; ".join(
        f"{word}{'s' * (len(of) > 1)} {', '.join(of)}" for word, of in (("method", arms), ("seed", seeds))
    )
    return f"verdicts of {first.judge}: {first.reason} ({len(cells)} cells of {first.measurement}: {whose})"


class LabellerFacts(Frozen):
    """A judge that labelled the preference data: its settings, how often it was called, and its size.

    ``parameters`` is what the meter's FLOPs per token say (2 per parameter), None for a judge that runs no model.
    ``missing`` says why it has no labels.
    """

    judge: str
    run: int | None
    settings: dict[str, Any]
    parameters: float | None
    samples: bool
    missing: str | None = None


class TokenFacts(Frozen):
    """A token whose probability changed, and how often it was written.

    ``per_thousand``: by how much its expected number per 1,000 tokens changed. ``logprob_change``: by how many nats its
    log-probability changed on average where it was written, None where it never was.
    """

    text: str
    written: int
    per_thousand: float
    logprob_change: float | None


class ShiftFacts(Frozen):
    """What steering changed at the tokens that a proxied arm wrote on a task, over its seeds.

    ``other_choice``: the share of ``positions`` at which the base's most probable token is another one.
    ``logprob_change``: the mean change of the written tokens' log-probability in nats. ``raised`` and ``lowered``: the
    tokens whose probability changed most, the most changed first.
    """

    arm: str
    task: str
    positions: int
    other_choice: float
    logprob_change: float
    raised: tuple[TokenFacts, ...]
    lowered: tuple[TokenFacts, ...]


class Unanswered(Frozen):
    """How many prompts of a task were too long for arms, of how many, at the seed at which it is most."""

    task: str
    arms: tuple[str, ...]
    prompts: int
    of: int


class BenchmarkCuts(Frozen):
    """What an arm could not read of a task of lm-eval, of how many requests, at the seed at which it is most.

    ``contexts`` lost their beginning. ``undefined``: continuations longer than what the arm reads, whose documents have
    no value. ``without_system``: readings without the system turn, which the model's template refuses.
    ``examples_left_out``: documents that no few-shot example is drawn from, because they are asked.
    """

    task: str
    arm: str
    requests: int
    contexts: int = 0
    undefined: int = 0
    without_system: int = 0
    examples_left_out: int = 0


class RunSummary(Frozen):
    """Everything about a run that is not a record or a contrast.

    ``own_rewards``: for a judge, the arms that learnt from it. ``divergence_bounds``: the most nats that an arm's
    divergence can have, where only that is known. ``served_models``: for a model asked for behind an API that a server
    gave another name, the answers by the name it gave. ``told``: what is to be known of arms made elsewhere.
    """

    name: str
    question: str
    base: str
    data: dict[str, str]
    seeds: tuple[int, ...]
    arms: dict[str, ArmFacts]
    stages: dict[str, StageFacts]
    metrics: dict[str, dict[str, Any]]
    versions: dict[str, str]
    missing: tuple[Missing, ...] = ()
    own_rewards: dict[str, tuple[str, ...]] = {}
    divergence_bounds: dict[str, float] = {}
    labellers: tuple[LabellerFacts, ...] = ()
    shifts: tuple[ShiftFacts, ...] = ()
    unanswered: tuple[Unanswered, ...] = ()
    served_models: dict[str, dict[str, int]] = {}
    benchmark_cuts: tuple[BenchmarkCuts, ...] = ()
    told: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        for facts in self.metrics.values():
            MetricInfo.model_validate(facts)
        for name, arm in self.arms.items():
            keys = {key for run in arm.runs.values() for key in run.stages}
            if not arm.runs.keys() <= set(map(str, self.seeds)) or not keys <= self.stages.keys():
                raise ValueError(f"the method {name} has a seed or a stage that is not there")
        for key, stage in self.stages.items():
            if len(set(map(len, stage.log.values()))) > 1:
                raise ValueError(f"the log of the stage {key} has columns of several lengths")
        return self

    def is_trained(self, arm: str) -> bool:
        """Return whether a stage of the arm trains; the pretraining of an embedded world is its base's, not its own."""
        kinds = {self.stages[key].kind for run in self.arms[arm].runs.values() for key in run.stages}
        return any(kind.startswith("train/") and not kind.endswith("/pretrain") for kind in kinds)

    def lacking(self) -> list[str]:
        """Return what is missing, line by line; what a judge lacks on several cells for one reason is one line."""
        found: dict[tuple[str | None, str | None, str], list[Missing]] = {}
        for cell in self.missing:
            whose = cell.judge if cell.leaves_out == "judge" else cell.named()
            found.setdefault((cell.measurement, whose, cell.reason), []).append(cell)
        return [_in_words(cells) for cells in found.values()]

    def last_stage(self, arm: str, seed: str) -> str | None:
        """Return the key of the last stage that an arm's policy rests on at one seed, None without any.

        A reward model is passed over: it teaches or chooses, and is no part of what writes.
        """
        keys = reversed(self.arms[arm].runs[seed].stages)
        return next((key for key in keys if self.stages[key].kind != REWARD_MODEL_KIND), None)

    def last_log(self, arm: str, seed: str) -> list[dict[str, float]]:
        """Return what that stage logged, row by row; empty without one."""
        key = self.last_stage(arm, seed)
        return [] if key is None else self.stages[key].rows()

    def alike(self, arm: str, wanted: Callable[[StageFacts], bool]) -> list[dict[str, str]]:
        """Return the wanted stages of an arm as keys by seed, those that play one part at every seed together.

        They are matched by their place: the first of a kind belongs to the first of that kind. A seed that
        lacks one is left out of it.
        """
        found: dict[tuple[str, int], dict[str, str]] = {}
        for seed, facts in self.arms[arm].runs.items():
            seen: Counter[str] = Counter()
            for key in facts.stages:
                kind = self.stages[key].kind
                if wanted(self.stages[key]):
                    found.setdefault((kind, seen[kind]), {})[seed] = key
                    seen[kind] += 1
        return list(found.values())

    def cost_of(self, arm: str, seed: int) -> dict[str, float]:
        """Return the summed cost of every stage that one arm's policy rests on at one seed, shared stages in full."""
        total: dict[str, float] = {}
        for key in self.arms[arm].runs[str(seed)].stages:
            for axis, amount in self.stages[key].cost.items():
                total[axis] = total.get(axis, 0.0) + amount
        return total


def _text(summary: RunSummary) -> str:
    """Return the file's text; it ends with a checksum over the rest, so that a changed byte is noticed."""
    # What came later is not written where there is none of it, so that an earlier file keeps its bytes.
    without: dict[str, Any] = {"arms": {name: {"brought"} for name, arm in summary.arms.items() if not arm.brought}}
    text = summary.model_dump_json(indent=1, exclude=without if summary.told else {**without, "told": True})
    rest = text.removesuffix("\n}")
    return f'{rest},\n "{CHECKSUM}": "{checksum(json.loads(text))}"\n}}\n'


def _fields(body: Any) -> Any:
    """Return the fields of a summary; raises ValueError where its checksum is another. Earlier versions have none."""
    if not isinstance(body, dict) or CHECKSUM not in body:
        return body
    if body[CHECKSUM] != checksum(body):
        raise ValueError("it differs from its checksum")
    return {name: value for name, value in body.items() if name != CHECKSUM}


SUMMARY = JsonFile("run.json", RunSummary, "run summary", RUN_AGAIN, _text, _fields)
