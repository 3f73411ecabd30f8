"""How a model is optimised: the settings that every training method shares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from bench.core.errors import StageError
from bench.core.method import Lora, Settings

Fraction = Annotated[float, Field(ge=0, lt=1)]


class Rates(NamedTuple):
    """The learning rates that stand for ``lr: null``: for ``full`` fine-tuning, and for a ``lora`` adapter."""

    full: float
    lora: float

    def of(self, lora: Lora | None) -> float:
        """Return the rate of a stage that trains this adapter, or all weights (None)."""
        return self.full if lora is None else self.lora


class Optimisation(Settings):
    """AdamW (Loshchilov and Hutter, arXiv:1711.05101) with a learning-rate schedule, in float32 weights (masters).

    The defaults are those of supervised fine-tuning of AlpacaFarm (arXiv:2305.14387: 3 epochs, lr 2e-5, cosine,
    warm-up 0.03, no weight decay) except for the batch (64 instead of 128). They are for models of 1 to 10 billion
    parameters; one of less than a million takes 20 to 100 times the learning rate.

    ``lr``: the highest learning rate. None is the method's own, ``rates()``: 2e-5 for full fine-tuning, 2e-4 for an
    adapter here (QLoRA, arXiv:2305.14314, for 7 and 13 billion parameters). It is resolved when a stage is planned, so
    that the stage and its key hold a number. Where a method has no published rate for adapters, it is ten times that of
    full fine-tuning (Schulman et al. 2025, "LoRA Without Regret", for supervised and for reinforcement learning).
    ``schedule``: its course after the warm-up, down to 0 after the last step, or
    constant. ``warmup``: the fraction of all steps in which it rises linearly. ``epochs``: passes over the data, unless
    the budget ends training earlier. ``batch_size``: examples (demonstrations or pairs) per optimiser step.
    ``micro_tokens``: the most tokens, padding included, of one forward pass; a larger batch is split and its gradients
    are accumulated, which changes results by rounding only, but with adapter dropout, whose noise is drawn per forward
    pass: another split is then another sample of it (weights .06 apart were measured). ``activations``: ``recomputed``
    computes each layer again in the backward pass instead of keeping what it computed: a third more work, far less
    memory, and results that differ by rounding at most. ``graph``: ``compiled`` lets ``torch.compile`` fuse the
    operations of each layer: its results differ by rounding (an adapter's dropout meets other noise), it takes a minute
    or two at first, and on a CPU it was slower (docs/performance.md). ``max_grad_norm``: the L2 norm to which gradients
    are clipped, None for no clipping. ``weight_decay`` is not applied to biases, norms and embeddings.
    """

    lr: PositiveFloat | None = None
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: Fraction = 0.03
    epochs: PositiveInt = 3
    batch_size: PositiveInt = 64
    micro_tokens: PositiveInt = 8192
    activations: Literal["kept", "recomputed"] = "kept"
    graph: Literal["eager", "compiled"] = "eager"
    max_grad_norm: PositiveFloat | None = 1.0
    weight_decay: NonNegativeFloat = 0.0
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    eps: PositiveFloat = 1e-8

    def rates(self) -> Rates:
        """Return the learning rates that stand for ``lr: null``."""
        return Rates(full=2e-5, lora=2e-4)

    def optimisation(self, lora: Lora | None) -> Optimisation:
        """Return these settings alone, with the learning rate as a number: what a method passes to its stage.

        ``lora``: the adapter that the stage trains, or None.
        """
        own = {name: getattr(self, name) for name in Optimisation.model_fields}
        return Optimisation(**{**own, **self.stands_for(lora)})

    def stands_for(self, lora: Lora | None) -> Mapping[str, float]:
        """Return the learning rate, where it is None."""
        return {"lr": self.rates().of(lora)} if self.lr is None else {}

    def rate_at(self, step: int, steps: int) -> float:
        """Return the learning rate of a step (counted from 0) of ``steps``.

        It rises in equal parts over the first ``warmup * steps`` steps and then falls from ``lr`` along the schedule,
        which would reach 0 one step after the last. It is never 0, so no step is wasted. Raises StageError where
        ``lr`` is None.
        """
        if self.lr is None:
            raise StageError("lr is null, which only planning resolves: pass settings.optimisation(lora), or give lr")
        rising = math.ceil(self.warmup * steps)
        if step < rising:
            return self.lr * (step + 1) / (rising + 1)
        passed = (step - rising) / (steps - rising)
        if self.schedule == "cosine":
            return self.lr * (1 + math.cos(math.pi * passed)) / 2
        return self.lr * (1 - passed) if self.schedule == "linear" else self.lr


class PreferenceOptimisation(Optimisation):
    """The settings of the methods that learn from pairs: one pass, a lower learning rate and a longer warm-up.

    DPO (arXiv:2305.18290, appendix B) uses RMSprop, lr 1e-6, batches of 64 pairs and a linear warm-up of 150 steps;
    its code has lr 5e-7. AlpacaFarm (arXiv:2305.14387) and TRL 1.16 have 1e-6 with AdamW, which is the default here for
    full fine-tuning. An adapter takes 1e-5, ten times that (see ``Optimisation``), as in the alignment handbook's
    Zephyr (5e-7 for all weights, 5e-6 for an adapter). All methods on pairs share these defaults unless they say
    otherwise, so that a comparison of two of them at their defaults differs in the loss only.
    """

    warmup: Fraction = 0.1
    epochs: PositiveInt = 1

    def rates(self) -> Rates:
        """Return the learning rates that stand for ``lr: null``."""
        return Rates(full=1e-6, lora=1e-5)


class RewardModelSettings(Optimisation):
    """The settings of a reward model's training.

    The optimiser's defaults are those of the reproduction of RLHF on TL;DR (arXiv:2403.17031): lr 3e-6, cosine without
    warm-up, 1 epoch, 64 pairs, eps 1e-5. They are for models of billions of parameters; an adapter takes 3e-5, ten
    times the learning rate of full fine-tuning (see ``Optimisation``).

    ``held_out``: the share of the prompts whose pairs are kept from training and measure the model.
    ``spread``: ``natural`` leaves the rewards' scale as the pairs taught it, so that a difference is the log-odds of a
    preference; ``unit`` divides by their standard deviation, so that one KL coefficient means the same for all reward
    models. Either way the mean reward of reference responses is 0.
    """

    warmup: Fraction = 0.0
    epochs: PositiveInt = 1
    eps: PositiveFloat = 1e-5
    held_out: Fraction = 0.1
    spread: Literal["natural", "unit"] = "natural"

    def rates(self) -> Rates:
        """Return the learning rates that stand for ``lr: null``."""
        return Rates(full=3e-6, lora=3e-5)
