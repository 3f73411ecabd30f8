"""A policy that is a causal language model of transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bench.core.errors import StageError
from bench.core.policy import Chat, Completion, Decoding, Likelihood, PolicySpec, Session, as_read
from bench.core.stage import StageIO
from bench.policy.chat import prompt_ids, response_ids, response_text
from bench.policy.decode import Drawn, batches, check_prompts, draw_batch, open_session
from bench.policy.decoder import decoder_of
from bench.policy.logprobs import Group, over_chunks, response_states

# Model FLOPs per parameter and token that is read or written, not trained on (``bench.core.meter``).
READ_FLOPS = 2.0
# Tokens of one scoring batch, padding included; chosen on a two-core machine, changes no result.
SCORED_TOKENS_AT_ONCE = 8_192


class HFPolicy:
    """A loaded model with its tokenizer; fulfils ``bench.core.policy.Policy``.

    ``model`` may carry a LoRA adapter. ``template`` is used when the tokenizer has no chat template. ``pad_id`` fills
    up short rows and is never attended to; ``end_ids`` are the tokens that end a completion.
    """

    def __init__(
        self, spec: PolicySpec, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, template: str = "{prompt}"
    ) -> None:
        self.spec = spec
        self.model = model
        self.tokenizer = tokenizer
        self.template = template
        self.device = decoder_of(model).device
        self.pad_id = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0)
        self.end_ids = _end_ids(model, tokenizer)
        self.parameters = sum(parameter.numel() for parameter in model.parameters())

    @property
    def context(self) -> int | None:
        """The longest text in tokens that the model can read, or None when its configuration sets no limit."""
        limit = self.model.config.to_dict().get("max_position_embeddings")
        return None if limit is None else int(limit)

    def session(self, chats: Sequence[Chat]) -> Session:
        """Open a decoding session over the chats, one row each."""
        return open_session(self.model, [self.prompt(chat) for chat in chats], self.pad_id)

    def prompt(self, chat: Chat) -> list[int]:
        """Return the ids of a chat, behind the policy's instructions if it has any, ready for a response to follow."""
        return prompt_ids(self.tokenizer, as_read(self.spec, chat), self.template)

    def generate(
        self, chats: Sequence[Chat], decoding: Decoding, *, seeds: Sequence[int], io: StageIO | None = None
    ) -> list[Completion]:
        """Return one completion per chat; row i's noise depends on ``seeds[i]`` and the position only.

        Tokens are counted on the meter of ``io``, and progress is told there, where there is one.
        """
        prompts = [self.prompt(chat) for chat in chats]
        if io is None:
            return self.generate_ids(prompts, decoding, seeds=seeds)
        found: dict[int, Completion] = {}

        def count(tokens: int) -> None:
            io.meter.generated_tokens += tokens
            io.meter.flops += READ_FLOPS * self.parameters * tokens
            io.progress(len(found), len(prompts), "prompt")

        read = sum(len(prompt) for prompt in prompts)
        io.meter.read_tokens += read
        io.meter.flops += READ_FLOPS * self.parameters * read
        for row, completion in self._written(prompts, decoding, seeds, count):
            found[row] = completion
        io.progress(len(found), len(prompts), "prompt")
        return [found[row] for row in range(len(prompts))]

    def generate_ids(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        *,
        seeds: Sequence[int],
        on_tokens: Callable[[int], None] = lambda _count: None,
    ) -> list[Completion]:
        """Return one completion per prompt of ids, in order.

        ``on_tokens`` is told the number of new tokens after each step. ``logprobs`` of a completion are under the
        temperature-scaled distribution before top-k and top-p (see ``bench.policy.decode.choose``). Other rows, batch
        size and order change a completion only where float rounding (1e-7) moves an edge across the noise. Raises
        StageError for a prompt that is empty or too long for the model's context.
        """
        found = dict(self._written(prompts, decoding, seeds, on_tokens))
        return [found[row] for row in range(len(prompts))]

    def _written(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        seeds: Sequence[int],
        on_tokens: Callable[[int], None],
    ) -> Iterator[tuple[int, Completion]]:
        """Yield each prompt's number and completion, batch after batch."""
        if len(seeds) != len(prompts):
            raise StageError(f"{len(prompts)} prompts but {len(seeds)} seeds: give one seed per prompt.")
        check_prompts(prompts, decoding.max_new_tokens, self.context)
        for rows in batches([len(prompt) + decoding.max_new_tokens for prompt in prompts]):
            session = open_session(self.model, [prompts[row] for row in rows], self.pad_id)
            drawn = draw_batch(session, decoding, [seeds[row] for row in rows], self.end_ids, on_tokens)
            for row, one in zip(rows, drawn, strict=True):
                yield row, self._completion(one, len(prompts[row]))

    @torch.inference_mode()
    def loglikelihood(self, pairs: Sequence[tuple[Chat, str]]) -> list[Likelihood]:
        """Return the likelihood of each response (its end token included) given its chat.

        Raises StageError for a pair that does not fit into the model's context.
        """
        rows = [(self.prompt(chat), response_ids(self.tokenizer, response)) for chat, response in pairs]
        lengths = [len(prompt) + len(response) for prompt, response in rows]
        for number, length in enumerate(lengths):
            if self.context is not None and length > self.context:
                raise StageError(
                    f"pair {number} has {length} tokens, more than the model's context of {self.context}. "
                    "Shorten the prompt or the response."
                )
        found: dict[int, Likelihood] = {}
        for numbers in batches(lengths, tokens_at_once=SCORED_TOKENS_AT_ONCE):
            scored = self._score([Group(rows[number][0], [rows[number][1]]) for number in numbers])
            found.update(zip(numbers, scored, strict=True))
        return [found[number] for number in range(len(rows))]

    @torch.inference_mode()
    def group_logprobs(self, groups: Sequence[Group]) -> list[list[float]]:
        """Return the log-probability, in nats, of each response of ids given its group's prompt, as it stands.

        A prompt is computed once for all its responses where the model allows it.
        """
        found: dict[int, list[float]] = {}
        for numbers in batches([group.shared_length() for group in groups], tokens_at_once=SCORED_TOKENS_AT_ONCE):
            scored = iter(self._score([groups[number] for number in numbers]))
            for number in numbers:
                found[number] = [next(scored).logprob for _ in groups[number].responses]
        return [found[number] for number in range(len(groups))]

    def _score(self, groups: Sequence[Group]) -> list[Likelihood]:
        decoder = decoder_of(self.model)
        states = response_states(decoder, groups, pad_id=self.pad_id)

        def logprob_and_greedy(hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            logits = decoder.logits(hidden)
            logprobs = logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
            return torch.stack([logprobs, (logits.argmax(-1) == targets).float()], dim=-1)

        chunks = torch.cat(over_chunks(logprob_and_greedy, states, decoder.vocabulary))
        rows = chunks.split(states.mask.sum(-1).tolist())
        return [
            Likelihood(logprob=float(row[:, 0].sum()), is_greedy=bool(row[:, 1].all()), n_tokens=len(row))
            for row in rows
        ]

    def _completion(self, drawn: Drawn, prompt_tokens: int) -> Completion:
        return Completion(
            text=response_text(self.tokenizer, drawn.tokens),
            tokens=tuple(drawn.tokens),
            logprobs=tuple(drawn.logprobs),
            finish="end" if drawn.tokens[-1] in self.end_ids else "length",
            prompt_tokens=prompt_tokens,
        )


def _end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the end token of the tokenizer and those of the model's generation settings."""
    settings = model.generation_config.eos_token_id if model.generation_config is not None else None
    listed = settings if isinstance(settings, list) else [settings]
    return frozenset(int(token) for token in [tokenizer.eos_token_id, *listed] if token is not None)
