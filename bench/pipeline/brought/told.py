"""What a plan says of arms that rest on what was made elsewhere, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from bench.config.comparison import Arm
from bench.core.errors import BenchError, DataError
from bench.core.files import kind_at
from bench.core.formats.adapter_files import check_fits, read_adapter
from bench.core.formats.gguf_header import SUFFIX
from bench.core.policy import Outputs, PolicySpec, Pretrained, Proxy, root
from bench.core.stage import Stage
from bench.core.task import offers_choices
from bench.evaluation.made_elsewhere import check_outputs
from bench.evaluation.measurement import Design

TOKENIZER, TEMPLATE = ("tokenizer.json", "tokenizer.model", "vocab.json"), "chat_template.jinja"


def told_of_arms(design: Design) -> tuple[str, ...]:
    """Return a line for everything that a reader must know of the arms before a run.

    Files that are not here are passed over. Raises BenchError for outputs that lack responses, and for an adapter that
    does not fit the model that it is put on.
    """
    seed, evaluation = design.seeds[0], design.evaluation
    lines: list[str] = []
    for arm in design.comparison.arms:
        policy = design.policies[arm.name, seed]
        if isinstance(policy, Outputs):
            lines += check_outputs(arm.name, policy, evaluation.tasks, evaluation.draws)
            lines += [f"{arm.name}: not available without a policy: {what}" for what in without_policy(design)]
        check_vocabularies(arm, policy)
        if tokens := other_tokens(policy, design):
            lines.append(
                f"{arm.name}: not available with another tokenizer ({tokens}): divergence from {evaluation.divergence}"
            )
        for model in brought_models(design, policy):
            lines += told_of_model(arm.name, model, design.comparison.given.base)
    return tuple(dict.fromkeys(lines))


def brought_by(design: Design, arm: str) -> Iterator[str]:
    """Yield the names of the models and outputs made elsewhere that an arm is made of, but those all arms are given."""
    policy = design.policies[arm, design.seeds[0]]
    if isinstance(policy, Outputs):
        yield Path(policy.path).name
    yield from map(called, brought_models(design, policy))


def without_policy(design: Design) -> Iterator[str]:
    """Yield what is measured here and has no value for outputs made elsewhere."""
    if design.evaluation.divergence is not None:
        yield f"divergence from {design.evaluation.divergence}"
    for task in design.evaluation.tasks:
        if offers_choices(task):
            yield f"multiple choice of {task.NAME}"
    yield from (f"{task.name} of lm-eval" for task in design.evaluation.benchmarks)
    yield "response_tokens"


def check_vocabularies(arm: Arm, policy: PolicySpec) -> None:
    """Raise BenchError where policies that must share their tokens are known not to: a proxy's, and a reference's."""
    groups: list[tuple[str, list[PolicySpec]]] = []
    if isinstance(policy, Proxy):
        groups.append(("steers by logits", [policy.base, policy.expert, policy.antiexpert]))
    if arm.reference is not None:
        groups.append(("compares log-probabilities of the same tokens", [policy, arm.reference]))
    for why, parts in groups:
        starts = [start for part in parts if isinstance(start := root(part), Pretrained) and start.path is not None]
        known = [(start, tokens) for start in starts if (tokens := vocabulary_of(Path(str(start.path))))]
        for one, tokens in known[1:]:
            first, theirs = known[0]
            if difference := first_difference(theirs, tokens):
                raise BenchError(
                    f"method '{arm.name}' {why}, and {called(first)} and {called(one)} have different vocabularies "
                    f"({difference}). Take models of one family."
                )


def other_tokens(policy: PolicySpec, design: Design) -> str:
    """Return how the tokens of a policy differ from those of what a divergence is from; empty where that is not known.

    Its divergence is then undefined at every prompt.
    """
    reference = design.evaluation.divergence
    if reference is None:
        return ""
    starts = [root(one) for one in (design.policies[reference, design.seeds[0]], policy)]
    folders = [Path(start.path) for start in starts if isinstance(start, Pretrained) and start.path is not None]
    known = len(folders) == len(starts) and folders[0] != folders[1]
    return first_difference(*map(vocabulary_of, folders)) if known else ""


def first_difference(theirs: Mapping[int, str], ours: Mapping[int, str]) -> str:
    """Return the first token that two vocabularies number alike and spell otherwise, in words; empty without one."""
    other = next((number for number in sorted(ours.keys() & theirs.keys()) if ours[number] != theirs[number]), None)
    return "" if other is None else f"token {other} is {theirs[other]!r} and {ours[other]!r}"


@cache
def vocabulary_of(folder: Path) -> dict[int, str]:
    """Return the tokens in a folder's tokenizer.json by number; nothing where it has none that can be read."""
    try:
        found = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        listed = found["model"]["vocab"]
        pieces = listed.items() if isinstance(listed, dict) else ((one[0], at) for at, one in enumerate(listed))
        added = ((one["content"], one["id"]) for one in found.get("added_tokens", ()))
        return {int(number): str(piece) for piece, number in (*pieces, *added)}
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return {}  # whoever loads the models compares what they have


def brought_models(design: Design, policy: PolicySpec) -> Iterator[Pretrained]:
    """Yield the models made elsewhere that a policy is made of, but those that all arms are given."""
    given = (design.comparison.given.base, design.comparison.given.small)
    yield from (model for model in dict.fromkeys(models_in(policy)) if model not in given)


def models_in(policy: Any) -> Iterator[Pretrained]:
    """Yield the models made elsewhere that a policy is, starts from, or steers by; not those that judged for it."""
    if isinstance(policy, Pretrained):
        yield policy
    elif isinstance(policy, Stage):
        start = getattr(policy, "init", None)
        yield from () if start is None else models_in(start)
    else:
        parts = (getattr(policy, name) for name in ("base", "by", "expert", "antiexpert") if hasattr(policy, name))
        for part in parts:
            yield from models_in(part)


def told_of_model(arm: str, model: Pretrained, base: PolicySpec) -> Iterator[str]:
    """Yield what is to be told of one model made elsewhere; raises DataError for an adapter that does not fit it."""
    yield f"{arm}: {called(model)} was made elsewhere: what its training cost is not known here"
    for adapter in model.adapters:
        folder = None if adapter.path is None else Path(adapter.path)
        if folder is None or kind_at(folder) != "folder":
            continue
        own = read_adapter(folder, folder.name)
        if model.path is not None and kind_at(Path(model.path)) == "folder":
            check_fits(folder, Path(model.path), folder.name)
        if own.base is not None and not same_model(own.base, model):
            yield (
                f"{arm}: the adapter {folder.name} says that it was trained on {own.base}, and is put on "
                f"{Path(model.path).name if model.path else model.repo}"
            )
        if not own.beside:
            yield f"{arm}: the adapter {folder.name} is more than a plain LoRA, and is merged into float32 weights"
    yield from told_of_tokenizer(arm, model, base)


def told_of_tokenizer(arm: str, model: Pretrained, base: PolicySpec) -> Iterator[str]:
    """Yield whether a model reads texts otherwise than the base, and where that is not known from files here."""
    if not isinstance(base, Pretrained) or model.path is None or base.path is None or model.path == base.path:
        return
    ours, theirs = Path(model.path), Path(base.path)
    if SUFFIX in {ours.suffix, theirs.suffix}:
        yield f"{arm}: whether it has the base's tokenizer and chat template is not looked at in a GGUF file"
    if not (kind_at(ours) == kind_at(theirs) == "folder"):
        return
    if tokens_of(ours) != tokens_of(theirs):
        yield f"{arm}: it has another tokenizer than the base; what is compared are texts"
    if template_of(ours) != template_of(theirs) or model.template != base.template:
        yield f"{arm}: it reads prompts with another chat template than the base"


def same_model(named: str, model: Pretrained) -> bool:
    """Return whether the name that an adapter gives its base is that of a model: the last part counts."""
    own = {Path(model.path).name} if model.path is not None else {str(model.repo).rpartition("/")[2]}
    if model.path is not None and (config := Path(model.path) / "config.json").is_file():
        said = json.loads(config.read_text(encoding="utf-8")).get("_name_or_path")
        own |= {Path(str(said)).name} if said else set()
    return Path(named.rstrip("/")).name.lower() in {name.lower() for name in own}


def called(model: Pretrained) -> str:
    """Return what a model made elsewhere is called, its adapters with it."""
    name = Path(model.path).name if model.path is not None else str(model.repo)
    on = [Path(one.path).name if one.path is not None else str(one.repo) for one in model.adapters]
    return " + ".join([name, *on])


@cache
def tokens_of(folder: Path) -> tuple[bytes, ...]:
    """Return the files of a folder that say what its tokens are."""
    return tuple((folder / name).read_bytes() for name in TOKENIZER if kind_at(folder / name) == "file")


def template_of(folder: Path) -> str | None:
    """Return the chat template in a folder, None where it has none."""
    if kind_at(folder / TEMPLATE) == "file":
        return (folder / TEMPLATE).read_text(encoding="utf-8")
    config = folder / "tokenizer_config.json"
    try:
        found = json.loads(config.read_text(encoding="utf-8")) if kind_at(config) == "file" else {}
    except ValueError as error:
        raise DataError(f"{folder}: its tokenizer_config.json cannot be read: {error}") from error
    template = found.get("chat_template") if isinstance(found, dict) else None
    return template if template is None or isinstance(template, str) else json.dumps(template)
