"""How a model is optimised: the settings that every training method shares."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from bench.core.frozen import Frozen

Fraction = Annotated[float, Field(ge=0, lt=1)]


class Optimisation(Frozen):
    """AdamW (Loshchilov and Hutter, arXiv:1711.05101) with a learning-rate schedule, in float32 weights (masters).

    The defaults are those of supervised fine-tuning of AlpacaFarm (arXiv:2305.14387: 3 epochs, lr 2e-5, cosine,
    warm-up 0.03, no weight decay) except for the batch (64 instead of 128). They are for full fine-tuning of models
    of 1 to 10 billion parameters; an adapter takes about 10 times the learning rate, a model of less than a million
    parameters 20 to 100 times.

    ``lr``: the highest learning rate. ``schedule``: its course after the warm-up, down to 0 after the last step, or
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

    lr: PositiveFloat = 2e-5
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

    def optimisation(self) -> Optimisation:
        """Return these settings alone; a method has them among its own fields and passes only them to its stage."""
        return Optimisation(**{name: getattr(self, name) for name in Optimisation.model_fields})

    def rate_at(self, step: int, steps: int) -> float:
        """Return the learning rate of a step (counted from 0) of ``steps``.

        It rises in equal parts over the first ``warmup * steps`` steps and then falls from ``lr`` along the schedule,
        which would reach 0 one step after the last. It is never 0, so no step is wasted.
        """
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
    its code has lr 5e-7. With AdamW and a short run 5e-6 is the usual order of magnitude for full fine-tuning.
    All methods on pairs share these defaults, so that a comparison of two of them at their defaults differs in the
    loss only.
    """

    lr: PositiveFloat = 5e-6
    warmup: Fraction = 0.1
    epochs: PositiveInt = 1


class RewardModelSettings(Optimisation):
    """The settings of a reward model's training.

    The optimiser's defaults are those of the reproduction of RLHF on TL;DR (arXiv:2403.17031): lr 3e-6, cosine without
    warm-up, 1 epoch, 64 pairs, eps 1e-5. They are for full fine-tuning of models of billions of parameters.

    ``held_out``: the share of the prompts whose pairs are kept from training and measure the model.
    ``spread``: ``natural`` leaves the rewards' scale as the pairs taught it, so that a difference is the log-odds of a
    preference; ``unit`` divides by their standard deviation, so that one KL coefficient means the same for all reward
    models. Either way the mean reward of reference responses is 0.
    """

    lr: PositiveFloat = 3e-6
    warmup: Fraction = 0.0
    epochs: PositiveInt = 1
    eps: PositiveFloat = 1e-5
    held_out: Fraction = 0.1
    spread: Literal["natural", "unit"] = "natural"
