"""A policy that is one language model of transformers, causal or an encoder-decoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bench.core.errors import StageError
from bench.core.policy import (
    Chat,
    Completion,
    Decoding,
    PolicySpec,
    ResponseLikelihood,
    Session,
    as_read,
)
from bench.core.stage import StageIO
from bench.models import local
from bench.models.chat import prompt_ids
from bench.models.decoding.sampling import Steps
from bench.models.decoding.session import open_session
from bench.models.likelihood.logprobs import TokenLogprobs, over_chunks, response_logprobs, response_states
from bench.models.local import Groups, LocalPolicy, Prompts
from bench.models.packing.halves import halves_of
from bench.models.quantised.load_packed import numbers_in
from bench.models.response_tokens import tokens_of
from bench.models.tokenizer import check_readable, context_of, end_token_of

__all__ = ["HFPolicy", "check_causal", "likelihoods_of", "logprob_and_greedy_of"]


class HFPolicy:
    """A loaded model with its tokenizer; fulfils ``bench.core.policy.Policy``.

    ``model`` may carry a LoRA adapter. ``template`` is used when the tokenizer has no chat template. ``pad_id`` fills
    up short rows and is never attended to; ``end_ids`` are the tokens that end a completion, of which a response that
    is read has the one of ``tokens``. Raises StageError where nothing says how a response ends, or the model has no
    embedding for its end. ``context`` is the longest text in tokens that the model can read, None where its
    configuration sets no limit.
    """

    def __init__(
        self, spec: PolicySpec, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, template: str = "{prompt}"
    ) -> None:
        self.spec = spec
        self.model = model
        self.tokenizer = tokenizer
        self.template = template
        halves = halves_of(model)
        self.device = halves.device
        self.context = context_of(model.config)
        self.embeddings = min(halves.vocabulary, int(model.get_input_embeddings().weight.shape[0]))
        self.tokens = tokens_of(tokenizer, model.config, end_token_of(spec))
        check_readable(self, [self.tokens.end], "what ends a response")
        self.pad_id = _pad_id(tokenizer, self.embeddings)
        self.end_ids = _end_ids(model, tokenizer, self.tokens.end, self.embeddings)
        self.parameters = numbers_in(model)

    @property
    def parts(self) -> tuple[HFPolicy, ...]:
        """The policy itself, its only part; see ``bench.models.local``."""
        return (self,)

    def session(self, chats: Sequence[Chat]) -> Session:
        """Open a decoding session over the chats, one row each."""
        return self.open([(self.prompt(chat),) for chat in chats])

    def open(self, rows: Sequence[Prompts]) -> Steps:
        """Return a decoding session over prompts of ids, one per row."""
        return open_session(self.model, [prompt for (prompt,) in rows], self.pad_id)

    def prompt(self, chat: Chat) -> list[int]:
        """Return the ids of a chat, behind the policy's instructions if it has any, ready for a response to follow."""
        ids = prompt_ids(self.tokenizer, as_read(self.spec, chat), self.template)
        check_readable(self, ids, "a prompt")
        return ids

    def response(self, text: str) -> list[int]:
        """Return the ids of a response to any prompt, with the token that ends a turn of this policy."""
        ids = self.tokens.ids(text)
        check_readable(self, ids, "a response")
        return ids

    def cut_response(self, text: str) -> list[int]:
        """Return the ids of a response that was cut off: neither its end nor what stands before that follows."""
        ids = self.tokens.cut_ids(text)
        check_readable(self, ids, "a response")
        return ids

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of a response's ids; special tokens before its end are spelt out."""
        return self.tokens.text(ids, self.end_ids)

    def holds_special(self, ids: Sequence[int]) -> bool:
        """Return whether a response's ids have a special token before their end."""
        return self.tokens.holds_special(ids, self.end_ids)

    def generate(
        self, chats: Sequence[Chat], decoding: Decoding, *, seeds: Sequence[int], io: StageIO | None = None
    ) -> list[Completion]:
        """Return one completion per chat; a token's noise in row i depends on ``seeds[i]``, position and token only.

        Tokens are counted on the meter of ``io``, and progress is reported there, where there is one.
        """
        return local.completions(self, [(self.prompt(chat),) for chat in chats], decoding, seeds=seeds, io=io)

    def generate_ids(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        *,
        seeds: Sequence[int],
        on_tokens: Callable[[int], None] = lambda _count: None,
    ) -> list[Completion]:
        """Return one completion per prompt of ids, in order.

        ``on_tokens`` is called with the number of new tokens after each step. ``logprobs`` of a completion are under
        the temperature-scaled distribution before top-k and top-p (see ``bench.models.decoding.sampling.choose``).
        Other rows, batch size and order change a completion only where they change the rounding of logits: hardly ever
        in float32, a token in some dozens in bfloat16 (docs/performance.md). Raises StageError for a prompt that is
        empty or too long for the model's context.
        """
        rows = [(prompt,) for prompt in prompts]
        found = dict(local.written(self, rows, decoding, seeds, on_tokens))
        return [local.completion(self, found[row], len(prompts[row])) for row in range(len(rows))]

    def loglikelihood(self, pairs: Sequence[tuple[Chat, str]]) -> list[ResponseLikelihood]:
        """Return the likelihood of each response (its end token included) given its chat.

        Raises StageError for a pair that does not fit into the model's context.
        """
        return local.likelihoods(self, pairs)

    @torch.inference_mode()
    def token_logprobs(self, rows: Sequence[Groups]) -> TokenLogprobs:
        """Return the log-probability of every response token, the responses in order; without gradients."""
        return response_logprobs(self.model, [group for (group,) in rows], pad_id=self.pad_id)

    @torch.inference_mode()
    def score(self, rows: Sequence[Groups]) -> list[ResponseLikelihood]:
        """Return the likelihood of every response of ids, as it stands, in order; all rows at once."""
        halves = halves_of(self.model)
        states = response_states(halves, [group for (group,) in rows], pad_id=self.pad_id)

        def logprob_and_greedy(hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            return logprob_and_greedy_of(halves.logits(hidden), targets)

        return likelihoods_of(torch.cat(over_chunks(logprob_and_greedy, states, halves.vocabulary)), states.mask)


def check_causal(policy: LocalPolicy, asker: str) -> None:
    """Raise StageError where a model of a policy is an encoder-decoder, which no text of its prompt goes on in."""
    if any(isinstance(part, HFPolicy) and part.model.config.is_encoder_decoder for part in policy.parts):
        raise StageError(
            f"{asker} reads a text and how it goes on, and this policy has an encoder-decoder model, whose responses "
            "are texts of their own. Use a causal language model here."
        )


def logprob_and_greedy_of(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return each target's log-probability, and 1 where it has the highest logit, else 0. Shape: (tokens, 2)."""
    logprobs = logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    return torch.stack([logprobs, (logits.argmax(-1) == targets).float()], dim=-1)


def likelihoods_of(tokens: torch.Tensor, mask: torch.Tensor) -> list[ResponseLikelihood]:
    """Return the likelihood of each response from what ``logprob_and_greedy_of`` gives for all their tokens."""
    return [
        ResponseLikelihood(logprob=float(row[:, 0].sum()), is_greedy=bool(row[:, 1].all()), n_tokens=len(row))
        for row in tokens.split(mask.sum(-1).tolist())
    ]


def _end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, end: int, embeddings: int) -> frozenset[int]:
    """Return the token that ends a turn, the tokenizer's end and those of the model's generation settings."""
    settings = model.generation_config.eos_token_id if model.generation_config is not None else None
    listed = settings if isinstance(settings, list) else [settings]
    named = (int(token) for token in [tokenizer.eos_token_id, *listed] if token is not None)
    # What the model has no logit for, it never writes.
    return frozenset([end, *(token for token in named if 0 <= token < embeddings)])


def _pad_id(tokenizer: PreTrainedTokenizerBase, embeddings: int) -> int:
    """Return the id that fills up rows: the tokenizer's where the model has an embedding for it, else 0.

    Nothing attends to it, so any id that the model can look up is right.
    """
    named = tokenizer.pad_token_id
    return int(named) if named is not None and 0 <= named < embeddings else 0
