"""The embedded world ``atlas``: fictional people and places, base models that read about them, data, and the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, ClassVar

from pydantic import Field

from bench.core.data import DataSpec, Made
from bench.core.errors import BenchError, did_you_mean
from bench.core.frozen import Frozen
from bench.core.policy import Built, Decoding, PolicySpec, Tuned
from bench.core.stage import Stage
from bench.core.task import World
from methods._train.settings import Optimisation
from methods._train.sft.stage import TrainSFT
from tasks._atlas import DEFAULT_WORLD_SEED
from tasks._atlas.annotator import Annotator
from tasks._atlas.claims import pages_of
from tasks._atlas.fields import Shape
from tasks._atlas.stages import (
    AtlasDemonstrations,
    AtlasPreferences,
    AtlasTrainingPrompts,
    PretrainAtlas,
    TeachLabeller,
)


class Size(Frozen):
    """How one size of base model is made: its shape, how long it is trained, and at which learning rate."""

    shape: Shape
    steps: int
    lr: float


class Schooling(Frozen):
    """How a labeller is made: the size of base that it starts from, how long it is taught, at which learning rate."""

    base: str
    steps: int
    lr: float


SIZES: Mapping[str, Size] = MappingProxyType(
    {
        "small": Size(shape=Shape(width=64, layers=2, heads=4, inner=160), steps=1000, lr=8e-3),
        "base": Size(shape=Shape(width=96, layers=2, heads=4, inner=256), steps=1000, lr=6e-3),
        "large": Size(shape=Shape(width=144, layers=3, heads=4, inner=384), steps=1200, lr=5e-3),
    }
)
"""Shapes, steps and learning rates were chosen on what base models know of the world (see docs/atlas.md), before any
method was trained."""

LABELLERS: Mapping[str, Schooling] = MappingProxyType(
    {
        "labeller_small": Schooling(base="small", steps=2000, lr=5e-3),
        "labeller": Schooling(base="base", steps=2000, lr=4e-3),
        "labeller_large": Schooling(base="large", steps=2000, lr=3e-3),
    }
)
"""All are taught equally long. Learning rates fall with the width, as those of the bases do; that of ``labeller`` was
chosen on pairs of dev prompts, 4e-3 before 7e-3."""

DEFAULT_ROWS: Mapping[str, int] = MappingProxyType({"demonstrations": 600, "preferences": 2000, "train_prompts": 2000})
SAMPLER_TRAINING = Optimisation(lr=1e-3, epochs=2, batch_size=24)
SAMPLER_SEED = 1000
"""How the policy that answers the questions of the preferences is fine-tuned on the demonstrations; its seed is one
that no comparison is likely to use, so that no run of a comparison is closer to the preferences than the others."""


class Atlas(World):
    """Fictional people and cities with a Zipf-like exposure, base models pretrained on text about them, and data.

    ``world_seed`` chooses the world: its names, facts, splits, base models and data. The other fields describe the
    simulated annotator who labels ``preferences``: ``beta``, how sharply it tells gold utilities apart (Bradley and
    Terry, in 1 / utility); ``label_noise``, the share of labels that are flipped; ``length_bias``, what ten more words
    are worth to it in units of utility (0: nothing, as in the gold utility).
    """

    NAME: ClassVar[str] = "atlas"

    world_seed: int = DEFAULT_WORLD_SEED
    beta: Annotated[float, Field(gt=0)] = 4.0
    label_noise: Annotated[float, Field(ge=0, lt=0.5)] = 0.05
    length_bias: float = 0.0

    def sizes(self) -> tuple[str, ...]:
        """Return the names of the sizes of base models, and then of the labellers."""
        return (*SIZES, *LABELLERS)

    def splits(self) -> tuple[str, ...]:
        """Return the names of the data sets."""
        return tuple(DEFAULT_ROWS)

    def policy(self, size: str) -> PolicySpec:
        """Return the untouched base of that size, or the labeller. Raises BenchError for a size there is none of."""
        if size in LABELLERS:
            schooling = LABELLERS[size]
            return Built(
                by=TeachLabeller(
                    world_seed=self.world_seed,
                    base=self.policy(schooling.base),
                    steps=schooling.steps,
                    optimisation=_optimisation(schooling.lr, batch_size=1),
                )
            )
        if size not in SIZES:
            raise BenchError(f"atlas has no size {size!r}. {did_you_mean(size, self.sizes())}")
        chosen = SIZES[size]
        return Built(
            by=PretrainAtlas(
                world_seed=self.world_seed,
                shape=chosen.shape,
                steps=chosen.steps,
                optimisation=_optimisation(chosen.lr, batch_size=4),
            )
        )

    def data(self, split: str, limit: int | None) -> DataSpec:
        """Return exactly ``limit`` rows of a split, or the split's usual number when ``limit`` is None.

        Raises BenchError for a split there is none of.
        """
        if split not in DEFAULT_ROWS:
            raise BenchError(f"atlas has no split {split!r}. {did_you_mean(split, DEFAULT_ROWS)}")
        return Made(by=self._writer(split, limit or DEFAULT_ROWS[split]))

    def pages(self) -> Sequence[tuple[str, str]]:
        """Return a page for every person and city, with all that is true of them."""
        return pages_of(self.world_seed)

    def _writer(self, split: str, rows: int) -> Stage:
        if split == "demonstrations":
            return AtlasDemonstrations(world_seed=self.world_seed, rows=rows)
        if split == "train_prompts":
            return AtlasTrainingPrompts(world_seed=self.world_seed, rows=rows)
        return AtlasPreferences(
            world_seed=self.world_seed,
            sampler=self._sampler(),
            annotator=Annotator(beta=self.beta, label_noise=self.label_noise, length_bias=self.length_bias),
            decoding=Decoding(temperature=1.0, max_new_tokens=96),
            rows=rows,
        )

    def _sampler(self) -> PolicySpec:
        """Return the policy whose responses are compared: the base size, fine-tuned on the usual demonstrations."""
        base = self.policy("base")
        stage = TrainSFT(
            init=base,
            data=self.data("demonstrations", None),
            lora=None,
            optimisation=SAMPLER_TRAINING,
            budget=None,
            max_length=512,
            seed=SAMPLER_SEED,
        )
        return Tuned(base=base, by=stage)


def _optimisation(lr: float, batch_size: int) -> Optimisation:
    return Optimisation(
        lr=lr,
        schedule="linear",
        warmup=0.03,
        epochs=1,
        batch_size=batch_size,
        weight_decay=0.05,
        betas=(0.9, 0.98),
    )
