"""A reward model made elsewhere: a sequence classifier of transformers, whose logit rates a response.

It computes what transformers' own forward pass gives for the sequence by itself: rows are padded on the right with the
model's padding token, which its pooling and its attention pass over, and a model that names none reads row by row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from bench.core.datasets import Reply
from bench.core.errors import StageError, some_of
from bench.core.formats.classifier_files import label_of
from bench.core.machine_limits import limit_of
from bench.core.meter import READ_FLOPS
from bench.core.policy import Chat, Message
from bench.core.stage import StageIO
from bench.models.chat import plain_text
from bench.models.decoding.sampling import batches
from bench.models.encoder import checked_folder, longest_input
from bench.models.limits.reasons import in_one_line
from bench.models.rendering import render
from bench.models.spelling import control_tokens, spelt_apart
from bench.models.tokenizer import quietly, tokenizer_at

TOKENS_AT_ONCE = 8_192  # of one forward pass, padding included; changes results by rounding only
PROMPT, RESPONSE = "{prompt}", "{response}"
PLACES = re.compile(re.escape(PROMPT) + "|" + re.escape(RESPONSE))


@dataclass(frozen=True)
class Source:
    """Where a classifier is: a folder with the digest of its files, or a repository at a revision."""

    path: str | None = None
    digest: str | None = None
    repo: str | None = None
    revision: str | None = None

    def place(self) -> str:
        """Return the folder or the repository; raises StageError for a folder that has changed."""
        if self.path is not None:
            return str(Path(self.path) if self.digest is None else checked_folder(self.path, self.digest))
        if self.repo is None:
            raise StageError("a reward model needs a path or a repo. Set one of them.")
        return self.repo


@dataclass(frozen=True)
class Rated:
    """What a response is worth. ``cut``: what of it was not read, in words; empty where all was."""

    value: float | None
    cut: str = ""


class Classifier:
    """A loaded classifier; ``label`` is the number of the logit that rates.

    ``template``: a text with ``{prompt}`` and ``{response}``, or None. Without one a response is the last turn of the
    chat in the tokenizer's chat template, and where that has none, prompt and response are the pair of texts that the
    tokenizer makes one sequence of.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, label: int, template: str | None = None
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.label = label
        self.template = template
        self.longest = longest_input(model, tokenizer)
        self.control = control_tokens(tokenizer)
        self.pad = model.config.get_text_config().pad_token_id
        self.parameters = sum(parameter.numel() for parameter in model.parameters())

    def ids(self, chat: Chat, reply: Reply) -> dict[str, list[int]]:
        """Return what the model reads of a chat and a response to it, nothing cut.

        What a turn says is text: what spells a special token there becomes none.
        """
        said = tuple(self._said(turn) for turn in chat)
        answer = spelt_apart(reply.text, self.control)
        if self.template is not None:
            parts = {PROMPT: plain_text(said), RESPONSE: answer}
            return self._encoded(PLACES.sub(lambda found: parts[found.group()], self.template))
        if self.tokenizer.chat_template is None:
            return self._encoded(plain_text(said), answer)
        turns = [*said, Message(role="assistant", content=answer)]
        try:
            text = render(self.tokenizer, tuple((turn.role, turn.content) for turn in turns), opened=False)
        except StageError as error:
            raise StageError(f"{error} A reward model can be given a `template:`.") from error
        return {"input_ids": list(self.tokenizer(text, add_special_tokens=False)["input_ids"])}

    def _said(self, turn: Message) -> Message:
        return turn.model_copy(update={"content": spelt_apart(turn.content, self.control)})

    def _encoded(self, *texts: str) -> dict[str, list[int]]:
        found: Any = self.tokenizer(*texts)
        known = ("input_ids", "token_type_ids")
        return {name: list(found[name]) for name in known if name in found}

    @torch.inference_mode()
    def rate(self, chats: Sequence[Chat], replies: Sequence[Reply], io: StageIO) -> list[Rated]:
        """Return what each response to its chat is worth, in order; equal rows are read once.

        What is longer than the model reads loses its end, as tokenizers cut it. Raises StageError for a rating that is
        not finite.
        """
        rows = [self.ids(chat, reply) for chat, reply in zip(chats, replies, strict=True)]
        whole = [len(row["input_ids"]) for row in rows]
        cut = [{name: ids[: self.longest] for name, ids in row.items()} for row in rows]
        keys = [tuple(row["input_ids"]) for row in cut]
        distinct = {key: row for key, row in zip(keys, cut, strict=True)}
        found = dict(zip(distinct, self._logits(list(distinct.values()), io), strict=True))
        return [
            Rated(found[key], "" if len(key) == length else f"read with {len(key)} of {length} tokens")
            for key, length in zip(keys, whole, strict=True)
        ]

    def _logits(self, rows: Sequence[dict[str, list[int]]], io: StageIO) -> list[float]:
        found: dict[int, float] = {}
        lengths = [len(row["input_ids"]) for row in rows]
        together = (
            batches(lengths, tokens_at_once=TOKENS_AT_ONCE) if self.pad is not None else [[n] for n in range(len(rows))]
        )
        for numbers in together:
            logits = self.model(**self._padded([rows[number] for number in numbers])).logits[:, self.label].float()
            if not bool(torch.isfinite(logits).all()):
                raise StageError("the reward model gives a rating that is not finite. Try dtype: float32.")
            found |= dict(zip(numbers, logits.tolist(), strict=True))
            read = sum(lengths[number] for number in numbers)
            io.meter.read_tokens += read
            io.meter.flops += READ_FLOPS * self.parameters * read
            io.progress(len(found), len(rows), "response")
        return [found[number] for number in range(len(rows))]

    def _padded(self, rows: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        longest = max(len(row["input_ids"]) for row in rows)
        fills = {"input_ids": 0 if self.pad is None else int(self.pad), "token_type_ids": 0}
        made = {name: [[*row[name], *[fills[name]] * (longest - len(row[name]))] for row in rows] for name in rows[0]}
        made["attention_mask"] = [[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in rows]
        return {name: torch.tensor(values, device=self.model.device) for name, values in made.items()}


def load_classifier(
    source: Source, label: int | str | None, dtype: str, template: str | None, io: StageIO
) -> Classifier:
    """Return a classifier on ``io.device``, loaded once for a stage.

    Raises StageError where it cannot be loaded, lacks weights (a head that was never trained), or has several labels
    of which none is named.
    """
    name = f"classifier {source} {label} {dtype} {template}"
    if name not in io.kept:
        where = source.place()
        tokenizer = tokenizer_at(where, source.revision)
        try:
            with quietly():
                config = AutoConfig.from_pretrained(where, revision=source.revision, trust_remote_code=False)
                model, report = AutoModelForSequenceClassification.from_pretrained(
                    where,
                    revision=source.revision,
                    dtype=getattr(torch, dtype),
                    use_safetensors=True,
                    trust_remote_code=False,
                    output_loading_info=True,
                )
        except Exception as error:  # whatever stands in the files of others
            if limit_of(error) is not None:
                raise
            raise StageError(f"cannot load the reward model {where}: {in_one_line(error)}") from error
        if report["missing_keys"]:
            raise StageError(
                f"cannot load the reward model {where}: its weights lack {some_of(sorted(report['missing_keys']))}, "
                "which would be random numbers. Give a model with a head that was trained."
            )
        number = label_of(config.to_dict(), label, where)
        io.kept[name] = Classifier(model.to(io.device).eval(), tokenizer, number, template)
    found: Classifier = io.kept[name]
    return found
