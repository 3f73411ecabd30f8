"""Policies as values, and the protocols a loaded policy fulfils."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Protocol, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from bench.core.errors import BenchError
from bench.core.frozen import Frozen, Open
from bench.core.stage import Stage, StageIO

if TYPE_CHECKING:
    import torch


class Message(Frozen):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


Chat = tuple[Message, ...]

# What whole trained weights are stored in, and what a model that is trained computes in.
Kept = Literal["float32", "bfloat16"]
# What frozen weights of linear layers are kept in, where they are packed (``bench.models.quantised``).
LoadIn = Literal["4bit", "8bit"]


class Adapter(Frozen):
    """A PEFT adapter made elsewhere: a local folder (``path`` with ``digest`` of its files) or a hub repository."""

    repo: str | None = None
    revision: str | None = None
    path: str | None = None
    digest: str | None = None

    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})


class Pretrained(Frozen):
    """A model that exists already: a local folder (``path`` with ``digest`` of its files) or a hub repository.

    ``path`` may be a GGUF file, too, by its suffix: its weights are made whole again when it is loaded. ``adapters``:
    those made elsewhere that belong to it, in the order in which they were trained one on another.

    ``template`` is a plain text with ``{prompt}`` in it, used when the tokenizer has no chat template. ``dtype``: what
    every forward pass computes in (see ``computed_in``); float16 can be evaluated and not trained. ``end_token``: the
    token that ends a response, in the place of the one that the chat template writes after an assistant's turn, or of
    the tokenizer's ``eos_token`` where it writes none. ``load_in``: its linear layers' weights are packed, and only an
    adapter can be trained on it (QLoRA, arXiv:2305.14314).
    """

    kind: Literal["pretrained"] = "pretrained"
    repo: str | None = None
    revision: str | None = None
    path: str | None = None
    digest: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    template: str = "{prompt}"
    end_token: str | None = None
    load_in: LoadIn | None = None
    adapters: tuple[Adapter, ...] = ()

    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})
    ADDED: ClassVar[frozenset[str]] = frozenset({"adapters", "load_in"})


class Built(Frozen):
    """A whole model that a stage wrote (an embedded world's base): weights, configuration and tokenizer.

    ``dtype``: what every forward pass computes in.
    """

    kind: Literal["built"] = "built"
    by: Stage
    dtype: Kept = "float32"


class Tuned(Frozen):
    """``base`` changed by the stage ``by``, whose payload is either whole weights or a LoRA adapter over ``base``.

    Raises BenchError for a proxy and for the best of several responses, which have no weights that could be changed.
    """

    kind: Literal["tuned"] = "tuned"
    base: PolicySpec
    by: Stage

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        match root(self.base):
            case Proxy():
                raise BenchError(
                    "a proxied policy has no weights of its own, so nothing can be trained on top of it. Train its "
                    "expert or its base instead."
                )
            case BestOf():
                raise BenchError(
                    "the best of several responses is a choice and has no weights, so nothing can be trained on top of "
                    "it. Train the policy that writes the responses, on those chosen if you like (expert_iteration)."
                )
            case Outputs():
                raise BenchError(
                    "outputs made elsewhere are texts and no model, so nothing can be trained on top of them. Give the "
                    "checkpoint that wrote them (method: policy), or train on them as demonstrations."
                )
        return self


class Instructed(Frozen):
    """``base``, reading an instruction in front of the first user turn of every chat, separated by ``separator``."""

    kind: Literal["instructed"] = "instructed"
    base: PolicySpec
    instruction: str
    separator: str = "\n\n"


class Proxy(Frozen):
    """``base`` steered while it decodes by the difference of two other policies: logits + alpha (expert - antiexpert).

    Liu et al. 2024, arXiv:2401.08565. Each of the three reads the same chat with its own template and instructions; all
    three write with one vocabulary. ``alpha`` 0 is ``base`` itself. Raises BenchError for a part that chooses among
    whole responses and so has no logits.
    """

    kind: Literal["proxy"] = "proxy"
    base: PolicySpec
    expert: PolicySpec
    antiexpert: PolicySpec
    alpha: float = 1.0

    @model_validator(mode="after")
    def _has_logits(self) -> Self:
        for name in ("base", "expert", "antiexpert"):
            if isinstance(root(getattr(self, name)), BestOf):
                raise BenchError(
                    f"the {name} of a proxied policy must give every next token a logit, and the best of several "
                    "responses is chosen when all are written. Distil it first (a method that trains on what was "
                    "chosen), or take its base."
                )
            if isinstance(root(getattr(self, name)), Outputs):
                raise BenchError(
                    f"the {name} of a proxied policy must give every next token a logit, and outputs made elsewhere "
                    "are texts alone. Give the checkpoint that wrote them (method: policy)."
                )
        return self


class BestOf(Frozen):
    """The best of ``n`` responses that ``base`` writes to each chat, chosen by ``chooser`` (``bench.core.reward``).

    It writes, but has no likelihood: whether a response is the best depends on all that could be written.
    """

    kind: Literal["best_of"] = "best_of"
    base: PolicySpec
    n: PositiveInt
    chooser: Open

    def most_divergence(self) -> float:
        """Return log n - (n - 1) / n, an upper bound of KL(best of n || base) in nats.

        It is exact where no two responses have the same reward (Beirami et al. 2024, arXiv:2401.01879).
        """
        return math.log(self.n) - (self.n - 1) / self.n


class Outputs(Frozen):
    """Responses that were made elsewhere, in a file of rows (``path`` with its ``digest``): they write nothing new.

    ``columns`` renames: this program's name of a column to the file's. See ``bench.evaluation.made_elsewhere``.
    """

    kind: Literal["outputs"] = "outputs"
    path: str
    digest: str
    columns: tuple[tuple[str, str], ...] = ()

    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})


PolicySpec = Annotated[Pretrained | Built | Tuned | Instructed | Proxy | BestOf | Outputs, Field(discriminator="kind")]
Tuned.model_rebuild()
Instructed.model_rebuild()
Proxy.model_rebuild()
BestOf.model_rebuild()


def weights_of(spec: PolicySpec) -> PolicySpec:
    """Return a policy without the instructions that it reads."""
    while isinstance(spec, Instructed):
        spec = spec.base
    return spec


def computed_in(spec: PolicySpec) -> str:
    """Return the type that a policy of one model computes in: that of the policy its changes started from.

    The one rule for precision. Weights and activations have this type in every forward pass, in training, for a
    reference, in scoring and in decoding, and nothing is cast on the way but what a model casts itself. What is trained
    is float32: in bfloat16 each weight that a pass uses is the rounded image of a float32 one. Whole weights are stored
    as ``given.keep`` says (float32 unless asked otherwise), and adapters in float32, beside the weights and never
    merged; only an export merges, in float32. So the evaluated policy is the trained one.
    """
    beginning = root(spec)
    return beginning.dtype if isinstance(beginning, Pretrained | Built) else "float32"


def computing_in(spec: PolicySpec, dtype: Kept) -> PolicySpec:
    """Return an untouched policy, computing in a type. Raises BenchError for one that was made of others."""
    if isinstance(spec, Pretrained | Built):
        return spec.model_copy(update={"dtype": dtype})
    raise BenchError(f"what a {spec.kind} policy computes in is what the policy it was made of computes in.")


def root(spec: PolicySpec) -> Pretrained | Built | Proxy | BestOf | Outputs:
    """Return the policy that all changes started from; a proxied and a best-of policy, and outputs, are their own."""
    while isinstance(spec, Tuned | Instructed):
        spec = spec.base
    return spec


def as_read(spec: PolicySpec, chat: Chat) -> Chat:
    """Return a chat as a policy reads it: with the instructions of its spec in front of the first user turn.

    Where instructions are nested, the innermost stands first. A chat without a user turn stays as it is. The policies
    within a proxy have instructions of their own: only those that all of them read are put here.
    """
    while isinstance(spec, Tuned | Instructed):
        if isinstance(spec, Instructed):
            chat = _instructed(chat, spec.instruction + spec.separator)
        spec = spec.base
    return chat


def _instructed(chat: Chat, opening: str) -> Chat:
    for place, message in enumerate(chat):
        if message.role == "user":
            opened = message.model_copy(update={"content": opening + message.content})
            return (*chat[:place], opened, *chat[place + 1 :])
    return chat


class Decoding(Frozen):
    """Sampling settings. ``temperature`` 0 is greedy; ``top_p`` 1 and ``top_k`` None cut nothing off."""

    temperature: Annotated[float, Field(ge=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: PositiveInt | None = None
    max_new_tokens: PositiveInt = 128

    @property
    def is_greedy(self) -> bool:
        """Whether every draw of a prompt is the same: the most probable token is always taken."""
        return self.temperature == 0 or self.top_k == 1


Finish = Literal["end", "length", "no_room"]


class Completion(Frozen):
    """What a policy wrote: its text and tokens (the end token included when it was written), and how it ended.

    ``finish``: it ended by itself, was cut at the longest ``length``, or the prompt left ``no_room`` for that many
    tokens in what the policy can read, so that nothing was written at all. ``holds_special``: a special token stands
    before the end, which ``text`` spells out.
    """

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Finish
    prompt_tokens: NonNegativeInt
    holds_special: bool = False


class ResponseLikelihood(Frozen):
    """The log-probability of a response, summed over its tokens, and whether greedy decoding would write it."""

    logprob: float
    is_greedy: bool
    n_tokens: PositiveInt


class Session(Protocol):
    """The one decoding primitive: next-token logits for a batch of chats, and pushing the chosen tokens."""

    def logits(self) -> torch.Tensor:
        """Return float32 logits of the next token, before temperature. Shape: (batch, vocabulary)."""
        ...

    def push(self, tokens: torch.Tensor) -> None:
        """Append one token per row. Shape: (batch,)."""
        ...


class Policy(Protocol):
    """A loaded policy."""

    def session(self, chats: Sequence[Chat]) -> Session:
        """Open a decoding session over the chats, one row each."""
        ...

    def generate(
        self, chats: Sequence[Chat], decoding: Decoding, *, seeds: Sequence[int], io: StageIO | None = None
    ) -> list[Completion]:
        """Return one completion per chat; a token's noise in row i depends on ``seeds[i]``, position and token only.

        A chat that leaves no room for ``max_new_tokens`` has one without text, whose ``finish`` says so. Tokens are
        counted on the meter of ``io``, and progress is reported there, where there is one.
        """
        ...

    def loglikelihood(self, pairs: Sequence[tuple[Chat, str]]) -> list[ResponseLikelihood]:
        """Return the likelihood of each response (its end token included) given its chat."""
        ...
