"""The fields of the stages that train models of the world; the bodies of the training read these and nothing else."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from bench.core.frozen import Frozen
from bench.core.policy import PolicySpec
from bench.core.stage import Stage
from methods._train.settings import Optimisation


class Shape(Frozen):
    """The size of a Llama: width of the residual stream, layers, attention heads, width of the feed-forward part."""

    width: PositiveInt
    layers: PositiveInt
    heads: PositiveInt
    inner: PositiveInt


class Pretraining(Stage):
    """A base model of the world, trained from random weights on generated documents.

    ``steps`` optimiser steps of ``optimisation.batch_size`` rows of ``row_tokens`` tokens; documents are packed into
    rows, and attention does not cross from one document into another. ``seed`` decides initial weights, documents and
    their order. The payload is ``policy/`` (weights, configuration, tokenizer) and ``log.jsonl``.
    """

    world_seed: int
    shape: Shape
    steps: PositiveInt
    row_tokens: Annotated[int, Field(ge=16)] = 128
    initial_deviation: PositiveFloat = 0.04
    optimisation: Optimisation
    seed: int = 0


class Teaching(Stage):
    """A labeller: a base model of the world that goes on to read documents in which answers are graded.

    ``steps`` optimiser steps of ``optimisation.batch_size`` rows of ``row_tokens`` tokens, filled with whole documents.
    ``ordinary_share`` of the documents are those that ``base`` has read, so that it forgets little; each of their
    tokens counts ``ordinary_weight``, a grade counts 1, and a verdict counts ``verdict_weight``. The vocabulary is the
    base's and a few tokens more. ``seed`` decides the new embeddings, the documents and their order. The payload is
    ``policy/`` (weights, configuration, tokenizer) and ``log.jsonl``.
    """

    world_seed: int
    base: PolicySpec
    steps: PositiveInt
    row_tokens: Annotated[int, Field(ge=192)] = 256
    ordinary_share: Annotated[float, Field(ge=0, lt=1)] = 0.2
    ordinary_weight: PositiveFloat = 0.3
    verdict_weight: PositiveFloat = 3.0
    optimisation: Optimisation
    seed: NonNegativeInt = 0
