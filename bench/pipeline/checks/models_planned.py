"""Whether what a plan asks of its models can be done with them: of encoder-decoders, and of weights in 4 or 8 bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import BenchError
from bench.core.formats.model_files import is_encoder_decoder
from bench.core.frozen import children
from bench.core.policy import BestOf, Built, Instructed, Pretrained, Proxy, Tuned, root
from bench.core.stage import Stage

_POLICIES = (Pretrained, Built, Tuned, Instructed, Proxy, BestOf)


def check_model_kinds(stages: Mapping[str, Stage], labels: Callable[[], Mapping[str, str]]) -> None:
    """Raise BenchError for the first stage that does with an encoder-decoder model what is done with causal ones only.

    A stage, or what it asks (a judge), says so by ``CAUSAL_ONLY``: what it does, in words. ``stages`` and their
    ``labels`` by key. Local folders are looked at; a model of the hub is when it is loaded.
    """
    kinds: dict[str, bool] = {}
    for key, stage in stages.items():
        for what, policy in causal_only(stage):
            for folder in folders_of(policy):
                if folder not in kinds:
                    kinds[folder] = is_encoder_decoder(Path(folder))
                if kinds[folder]:
                    raise BenchError(
                        f"{labels()[key]} {what}, which is done with causal language models only, "
                        f"and {Path(folder).name} is an encoder-decoder"
                    )


def check_packed_weights(stages: Mapping[str, Stage], labels: Callable[[], Mapping[str, str]]) -> None:
    """Raise BenchError for the first stage that trains all weights of a model that is loaded in 4 or 8 bits.

    ``stages`` and their ``labels`` by key. Stages of training are known by their fields, as methods are not known here.
    """
    for key, stage in stages.items():
        init = getattr(stage, "init", None)
        if init is None or getattr(stage, "lora", init) is not None:
            continue
        start = root(init)
        if isinstance(start, Pretrained) and start.load_in is not None:
            raise BenchError(
                f"{labels()[key]} trains all weights of a model that is loaded in {start.load_in}, of which only an "
                "adapter can be trained. Set given.lora, such as {rank: 8} (QLoRA), or leave load_in away."
            )


def causal_only(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a stage, or anything that it asks itself, does with causal models only, and each model it does it to.

    Stages that it rests on are not looked into: they are stages of the plan themselves.
    """
    said = getattr(type(value), "CAUSAL_ONLY", None)
    if said is not None:
        yield from ((said, part) for part in children(value) if isinstance(part, _POLICIES))
    optimisation = getattr(value, "optimisation", None)
    if getattr(optimisation, "graph", "eager") == "compiled" and hasattr(value, "init"):
        yield "compiles the blocks of its model (`graph: compiled`)", value.init
    for part in children(value):
        if not isinstance(part, Stage):
            yield from causal_only(part)


def folders_of(policy: Any) -> Iterator[str]:
    """Yield the local folders of the models that a policy started from."""
    match policy:
        case Pretrained(path=str() as folder):
            yield folder
        case Tuned() | Instructed() | BestOf():
            yield from folders_of(policy.base)
        case Proxy():
            for part in (policy.base, policy.expert, policy.antiexpert):
                yield from folders_of(part)
