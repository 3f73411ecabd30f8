"""The model card of an exported policy: how to load it, how it was made, how it was measured, and what is not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.config.comparison import Comparison
from bench.core.formats.model_files import is_encoder_decoder
from bench.core.policy import Built, Pretrained, Tuned, computed_in, root
from bench.report import sentences
from bench.report.facts.methods import adapter_text, flat, statistics_of
from bench.report.page.content import Block, Bullets, Heading, Table, Text
from bench.report.page.markdown import render_markdown
from bench.report.references import as_bibtex, of_method
from bench.results.conclusions.contrast import Contrast, shown_interval
from bench.results.summary import RunSummary
from bench.results.wording import (
    NONE,
    amount,
    counted,
    decisive_p,
    describe_metric,
    describe_verdict,
    duration,
    estimate,
    interval,
    listed,
    p_value,
    percent,
)

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

LIBRARY = "transformers"
PIPELINE = "text-generation"
COST_WORDS = (("trained_tokens", "trained tokens"), ("generated_tokens", "generated tokens"), ("flops", "FLOPs"))


@dataclass(frozen=True)
class Exported:
    """The policy that a card describes: the arm, its training seed, and how its weights are written."""

    arm: str
    seed: int
    spec: Pretrained | Built | Tuned
    form: Literal["merged", "adapter"]


def model_card(
    comparison: Comparison, summary: RunSummary, contrasts: Sequence[Contrast], exported: Exported
) -> ModelCard:
    """Return the card, with every contrast of the arm as an evaluation result in its metadata.

    An evaluation result has the estimate as its value, and interval, level, p-value and the other arm as arguments;
    no interval where there is none.
    """
    from huggingface_hub import EvalResult, ModelCard, ModelCardData  # noqa: PLC0415 - 0.3 s that no report needs

    beginning = root(exported.spec)
    own = [item for item in contrasts if item.a == exported.arm and item.estimate is not None]
    results = [
        EvalResult(
            task_type=PIPELINE,
            dataset_type=item.task,
            dataset_name=item.task,
            metric_type=item.metric,
            metric_name=f"{describe_metric(item.metric)} against {item.b}"
            + (f", {item.judge} judge" if item.judge else ""),
            metric_value=item.estimate,
            metric_args={
                "versus": item.b,
                "judge": item.judge,
                "interval": None if (bounds := shown_interval(item)) is None else list(bounds),
                "level": item.level,
                "p": decisive_p(item),
                "prompts": item.n_prompts,
                "training_seeds": item.n_runs,
            },
        )
        for item in own
    ]
    data = ModelCardData(
        base_model=beginning.repo if isinstance(beginning, Pretrained) else None,
        library_name="peft" if exported.form == "adapter" else LIBRARY,
        pipeline_tag=PIPELINE,
        tags=["alignment-bench", summary.arms[exported.arm].method],
        model_name=f"{summary.name}-{exported.arm}-seed{exported.seed}",
        eval_results=results or None,
    )
    parts = [
        f"---\n{data.to_yaml()}\n---\n",
        render_markdown(_opening(summary, exported)),
        f"```python\n{loading(exported)}\n```\n",
        render_markdown(_blocks(comparison, summary, contrasts, exported)),
    ]
    if references := of_method(comparison, exported.arm):
        parts.append(f"## Citation\n\n```bibtex\n{as_bibtex(references)}```\n")
    return ModelCard("\n".join(parts))


def loading(exported: Exported) -> str:
    """Return the Python lines that load the policy from the folder in which the card stands."""
    kind = "AutoModelForSeq2SeqLM" if has_encoder(exported.spec) else "AutoModelForCausalLM"
    if exported.form == "merged":
        return (
            f"from transformers import {kind}, AutoTokenizer\n\n"
            f'model = {kind}.from_pretrained("FOLDER")\n'
            'tokenizer = AutoTokenizer.from_pretrained("FOLDER")\n'
            'chat = [{"role": "user", "content": "..."}]\n'
            'inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")'
        )
    beginning = exported.spec.base if isinstance(exported.spec, Tuned) else None
    is_named = isinstance(beginning, Pretrained) and beginning.repo is not None and beginning.load_in is None
    base = beginning.repo if is_named and isinstance(beginning, Pretrained) else "FOLDER/base"
    return (
        "from peft import PeftModel\n"
        f"from transformers import {kind}\n\n"
        f'model = PeftModel.from_pretrained({kind}.from_pretrained("{base}"), "FOLDER")'
    )


def has_encoder(spec: Pretrained | Built | Tuned) -> bool:
    """Return whether a policy is an encoder-decoder, as far as its base is a folder here; False for others."""
    start = root(spec)
    return isinstance(start, Pretrained) and start.path is not None and is_encoder_decoder(Path(start.path))


def _opening(summary: RunSummary, exported: Exported) -> list[Block]:
    """Return what the policy is, in a sentence, up to the code that loads it."""
    about = summary.arms[exported.arm].about
    models = counted(len(summary.seeds), "trained model")
    return [
        Heading(1, f"{exported.arm} of the comparison {summary.name}"),
        Text(f"{about} One of {models} of this arm: training seed {exported.seed}."),
        Heading(2, "How to load it"),
    ]


def _blocks(
    comparison: Comparison, summary: RunSummary, contrasts: Sequence[Contrast], exported: Exported
) -> list[Block]:
    """Return what follows the code."""
    return [
        Text("The tokenizer's chat template lays a chat out as it was in training and evaluation."),
        Heading(2, "How it was made"),
        Bullets(tuple(_making(comparison, summary, exported))),
        *_settings(summary, exported.arm),
        Heading(2, "How it was measured"),
        *_results(summary, contrasts, exported.arm),
        Text(statistics_of(comparison, len(summary.seeds))),
        Heading(2, "Limits"),
        Bullets(tuple(_limits(summary, contrasts, exported))),
    ]


def _making(comparison: Comparison, summary: RunSummary, exported: Exported) -> list[str]:
    """Return what the policy was made from, with what, and what that consumed."""
    facts, budget = summary.arms[exported.arm], comparison.given.budget
    costs = summary.cost_of(exported.arm, exported.seed)
    spent = [f"{amount(costs[axis])} {words}" for axis, words in COST_WORDS if costs.get(axis)]
    spent += [duration(costs["seconds"])] if costs.get("seconds") else []
    devices = sorted({str(summary.stages[key].provenance.get("device")) for key in _keys(summary, exported)})
    lines = [
        f"Method: {facts.method}",
        f"Base: {summary.base}",
        *(f"{name.capitalize()}: {described}" for name, described in summary.data.items()),
        f"Training seed: {exported.seed}{f', replicate {facts.replicate}' if facts.replicate else ''}; the comparison "
        f"has {', '.join(map(str, summary.seeds))}",
        f"Adapter in training: {adapter_text(summary, exported.arm)}; here: "
        + ("weights with everything in them" if exported.form == "merged" else "the adapter alone"),
        f"Computed in: {computed_in(exported.spec)}; the weights here are float32",
        f"Budget: {f'{amount(budget.value)} {budget.axis} per training stage' if budget else 'none was set'}",
        f"Longest sequence in training: {counted(comparison.given.max_length, 'token')}",
    ]
    if spent:
        lines.append(f"It took {', '.join(spent)}, the base's own training included where it was done here")
    if facts.brought:
        lines.append(f"Made elsewhere, at a cost that is not known: {listed(list(facts.brought))}")
    if devices:
        lines.append(f"Device: {', '.join(devices)}")
    versions = ", ".join(f"{name} {version}" for name, version in summary.versions.items())
    lines.append(f"Versions: {versions or NONE}")
    return lines


def _keys(summary: RunSummary, exported: Exported) -> tuple[str, ...]:
    return summary.arms[exported.arm].runs[str(exported.seed)].stages


def _settings(summary: RunSummary, arm: str) -> list[Block]:
    rows = tuple(flat(summary.arms[arm].fields).items())
    return [Heading(3, "Hyper-parameters"), Table(("setting", "value"), "ll", rows)] if rows else []


def _results(summary: RunSummary, contrasts: Sequence[Contrast], arm: str) -> list[Block]:
    """Return the table of the arm's contrasts, in either place, and what they speak about."""
    own = [item for item in contrasts if arm in (item.a, item.b)]
    if not own:
        return [Text("The comparison tests no contrast with this arm, so nothing is claimed about it.")]
    rows = tuple(
        (
            sentences.measured(item), item.a, item.b, estimate(item), interval(item),
            p_value(decisive_p(item), item.level), describe_verdict(item), f"{item.n_prompts:,}", str(item.n_runs),
        )
        for item in own
    )  # fmt: skip
    columns = ("measured", "method", "versus", "estimate", "interval", "p", "verdict", "prompts", "seeds")
    levels = listed([percent(level) for level in sorted({item.level for item in own})])
    speaks = listed(sorted({item.speaks_about for item in own}))
    note = (
        f"A win rate is the share of prompts on which the first-named is preferred; every other estimate is a "
        f"difference, first minus second. Intervals are at the {levels} level; p is adjusted where there are several "
        f"tests. The numbers speak about {speaks}, over training seeds {', '.join(map(str, summary.seeds))}, and not "
        "about these weights alone."
    )
    return [Table(columns, "lllrrrlrr", rows), Text(note)]


def _limits(summary: RunSummary, contrasts: Sequence[Contrast], exported: Exported) -> list[str]:
    """Return what the measurements do not say."""
    own = [item for item in contrasts if exported.arm in (item.a, item.b)]
    tasks = listed(sorted({item.task for item in own})) or NONE
    lines = [
        f"Measured on {tasks} only. Nothing was measured about other tasks, other languages, safety in use, or harm "
        "beyond what these tasks contain.",
        "It inherits whatever its base and its data have of errors and of bias.",
    ]
    undecided = [item for item in own if item.verdict == "undecided" and not item.is_control]
    if undecided:
        lines.append(f"{len(undecided)} of {counted(len(own), 'contrast')} with this arm are undecided.")
    rewarded = sorted({item.judge or NONE for item in own if exported.arm in item.own_reward})
    if rewarded:
        lines.append(
            f"It learnt from {listed(rewarded)}, which also judged it: those results say how well it learnt to please "
            "that judge."
        )
    gaps = [cell for cell in summary.missing if exported.arm in (cell.arm, cell.versus)]
    lines += [f"Missing: {cell.named()}: {cell.reason}" for cell in gaps]
    lines += [
        f"{sentences.measured(item)} against {item.b}: {item.note}" for item in own if item.note and item.p is None
    ]
    return lines
