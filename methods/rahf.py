"""RAHF: representation alignment from human feedback, which edits hidden states instead of probabilities.

Liu et al. 2024, arXiv:2312.15997. First a model learns good and bad behaviour: ``scit`` teaches ONE model to tell them
apart by an instruction (``methods/_train/representations/instruction_contrast.py``), ``dual`` trains a good model on
the chosen and a bad model on the rejected responses. Then, with h_l,t the state of layer l at response token t, read
on the SAME response tokens::

    v_l,t = h_l,t(good) - h_l,t(bad)
    L     = mean over layers l and response tokens t of || h_l,t(policy) - (h_l,t(base) + alpha * v_l,t) ||

where the policy is the base with a new LoRA adapter, and only the policy carries gradients. With ``scit`` good, bad
and base are the instructed model reading the good, the bad and no instruction, so that the policy needs none.

Layers are counted as transformers counts ``hidden_states``: layer l is what block l - 1 puts out; adapters in blocks
above the top layer get no gradient. The norm has no gradient where it is 0, so a difference of 0 teaches nothing.
The three frozen readings are computed beside each step, not stored: with one pass over the data each is needed once,
and they take tokens x layers x width numbers.

Known differences from the released code (LiuAmber/RAHF). Fields name those that can be switched: ``distance``,
``activity_mean``, ``responses``, ``base``, and those of ``contrast``. Not reproduced, being slips: labels of the good
instruction's row laid on the bad one's of another length, a beginning token in the middle of the text, a lost end
token. Also left out: different wordings of the instructions in the two steps, different halves of the data for them,
prompt tokens in the loss of ``dual``'s good and bad models, the good instruction before ``dual``'s prompts, and 8-bit
weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from bench.core.data import DataSpec
from bench.core.method import Given, Lora, Method
from bench.core.policy import PolicySpec
from bench.core.stage import StageIO
from methods._shared import fine_tuned, preferences_without_margins, supervised_start
from methods._train.fine_tuning import FineTuning
from methods._train.representations.instruction_contrast import ContrastSettings, TrainContrast
from methods._train.representations.sides import side_of
from methods._train.settings import Fraction, Optimisation, PreferenceOptimisation, Rates
from methods._train.sft.stage import TrainSFT

if TYPE_CHECKING:
    from torch import Tensor

Depth = Annotated[float, Field(gt=0, le=1)]
Distance = Literal["norm", "squared"]
# The paper's layers of Llama-2-7B, which has 32, and the response tokens it reads.
LAYERS = {
    "scit": tuple(layer / 32 for layer in (10, 12, 14, 16, 18)),
    "dual": tuple(layer / 32 for layer in (10, 12, 14, 16, 18, 20)),
}
TOKENS = {"scit": 512, "dual": 64}


def activations_loss(states: Tensor, base: Tensor, difference: Tensor, alpha: float, distance: Distance) -> Tensor:
    """Return how far the policy's states are from their targets, per token. Shape: all three inputs' but the last.

    ``states``, ``base`` and ``difference`` have shape (tokens, width); the target is base + alpha * difference.
    ``norm`` is the L2 norm, ``squared`` its square.
    """
    from torch.linalg import vector_norm

    error = states - (base + alpha * difference)
    return vector_norm(error, dim=-1) if distance == "norm" else error.square().sum(-1)


class TrainActivity(FineTuning):
    """Training of an adapter over ``init`` towards edited hidden states.

    ``good`` and ``bad``: the policies whose states are compared. ``layers``: fractions of the depth.
    ``response_tokens``: how many tokens of each response are read. The payload also has ``diagnostics.json``, see
    ``methods._train.representations.train_activations``.
    """

    KIND: ClassVar[str] = "train/activity"
    VERSION: ClassVar[int] = 3
    CAUSAL_ONLY: ClassVar[str] = "reads the hidden states of layers"

    good: PolicySpec
    bad: PolicySpec
    alpha: NonNegativeFloat
    layers: tuple[Depth, ...]
    response_tokens: PositiveInt
    responses: Literal["both", "random"]
    distance: Distance
    activity_mean: Literal["response", "padded"]

    def wordings(self) -> tuple[PolicySpec, ...]:
        """Return the policy, the good and the bad one: the instructions of ``scit`` are theirs."""
        return (self.init, self.good, self.bad)

    def run(self, io: StageIO) -> None:
        """Train, and write the policy and the diagnostics."""
        from methods._train.representations.train_activations import Aim, train_activations

        aim = Aim(self.good, self.bad, self.layers, self.response_tokens, self.responses, self.activity_mean)
        train_activations(
            self,
            io,
            aim,
            lambda states, base, difference: activations_loss(states, base, difference, self.alpha, self.distance),
        )


class RAHF(PreferenceOptimisation, Method):
    """Representation alignment from human feedback (arXiv:2312.15997): a LoRA that writes good-minus-bad activations.

    ``variant``: ``scit``, one model with two instructions, or ``dual``, a good and a bad model. ``alpha``: how far to
    go along the difference of the hidden states (5 in the paper; 0 changes nothing). ``layers``: where, as fractions of
    the depth, rounded to whole layers of the model; None for the paper's (10 to 18 of 32 for ``scit``, to 20 for
    ``dual``).
    ``response_tokens``: how many tokens of a response are read, from its start; None for the paper's (512 for ``scit``,
    64 for ``dual``). ``responses``: ``both`` of a pair, or as the released code does for ``scit``, a ``random`` one.
    ``distance``: the L2 ``norm``, or ``squared`` as the paper's text may be read.
    ``activity_mean``: the mean over the ``response`` tokens that are there, or, as in the released code, ``padded``,
    over ``response_tokens`` for every response.
    ``base``: whose states ``dual`` starts from and which policy carries its adapter: the supervised start ``sft``, or
    as in the released code, the ``good`` model.
    ``adapter``: the adapter of the last step where the comparison gives none; hidden states are always edited by a
    low-rank adapter, also in a comparison that trains all weights. The learning rate and the other optimiser settings
    here are those of the last step, which always trains an adapter: ``lr`` is 3e-4 for ``scit`` and 9e-6 for ``dual``,
    constant, as in the released code.
    ``contrast``: the settings of the first step; ``dual``, which is two supervised trainings, reads only those of the
    optimiser. ``start``: the settings of the supervised fine-tuning before it.
    """

    NEEDS: ClassVar[frozenset[str]] = frozenset({"preferences"})

    schedule: Literal["cosine", "linear", "constant"] = "constant"
    warmup: Fraction = 0.0
    variant: Literal["scit", "dual"] = "scit"
    alpha: NonNegativeFloat = 5.0
    layers: Annotated[tuple[Depth, ...], Field(min_length=1)] | None = None
    response_tokens: PositiveInt | None = None
    responses: Literal["both", "random"] = "both"
    distance: Distance = "norm"
    activity_mean: Literal["response", "padded"] = "response"
    base: Literal["sft", "good"] = "sft"
    adapter: Lora = Lora(rank=8, alpha=16.0, dropout=0.05, targets=("q_proj", "v_proj"))
    contrast: ContrastSettings = ContrastSettings()
    start: Optimisation = Optimisation()

    @model_validator(mode="after")
    def _settings_are_read(self) -> Self:
        """Refuse what the variant would not read."""
        if self.variant == "scit" and self.base != "sft":
            raise ValueError("base: good is a choice of the variant dual; scit has one model. Leave it out.")
        own = set(ContrastSettings.model_fields) - set(Optimisation.model_fields)
        unread = sorted(name for name in own if getattr(self.contrast, name) != getattr(ContrastSettings(), name))
        if self.variant == "dual" and unread:
            raise ValueError(
                f"contrast: {', '.join(unread)} is for the variant scit; dual has no contrast. Leave it out."
            )
        return self

    def rates(self) -> Rates:
        """Return the learning rates that stand for ``lr: null``; the last step always trains an adapter."""
        own = 3e-4 if self.variant == "scit" else 9e-6
        return Rates(full=own, lora=own)

    def policy(self, given: Given) -> PolicySpec:
        """Return the base of the edit, with an adapter that moves its hidden states."""
        start, data = supervised_start(given, self.start), preferences_without_margins(given)
        init, good, bad = self._scit(given, start, data) if self.variant == "scit" else self._dual(given, start, data)
        return fine_tuned(
            TrainActivity,
            self,
            given,
            init,
            data,
            lora=given.lora or self.adapter,
            good=good,
            bad=bad,
            layers=LAYERS[self.variant] if self.layers is None else self.layers,
            response_tokens=TOKENS[self.variant] if self.response_tokens is None else self.response_tokens,
        )

    def _scit(self, given: Given, start: PolicySpec, data: DataSpec) -> tuple[PolicySpec, PolicySpec, PolicySpec]:
        """Return base, good and bad: one model under no, the good and the bad instruction."""
        texts = self.contrast.texts()
        model = fine_tuned(TrainContrast, self.contrast, given, start, data, instructions=texts)
        return model, texts.for_good(model), texts.for_bad(model)

    def _dual(self, given: Given, start: PolicySpec, data: DataSpec) -> tuple[PolicySpec, PolicySpec, PolicySpec]:
        """Return base, good and bad: the start, or the good model, and a model of each side of the pairs."""
        good, bad = (
            fine_tuned(TrainSFT, self.contrast, given, start, side_of(data, side)) for side in ("chosen", "rejected")
        )
        return start if self.base == "sft" else good, good, bad
