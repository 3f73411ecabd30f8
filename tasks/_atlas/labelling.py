"""Teaching a base model of the world to judge. Imports torch: only ``TeachLabeller.run`` may import this module."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bench.core.policy import Built
from bench.core.stage import StageIO
from bench.models.hf import HFPolicy
from bench.models.load import PAYLOAD, load_trainable, save_weights
from methods._train.loop.loop import LossSum, Training, fit
from tasks._atlas import words
from tasks._atlas.draws import Draws
from tasks._atlas.fields import Teaching
from tasks._atlas.grading import GRADES, JUDGE_TOKENS, graded
from tasks._atlas.pretraining import DOCUMENTS_AT_ONCE, laid_out
from tasks._atlas.tokenizer import build_tokenizer
from tasks._atlas.writing import documents

UNREAD = -100


@dataclass(frozen=True)
class TrainingText:
    """A document as tokens: the target behind each (UNREAD: none), and its weight in the loss."""

    ids: list[int]
    targets: list[int]
    weights: list[float]


@dataclass(frozen=True)
class Row:
    """Whole documents end to end, then padding. All have the shape (tokens,); ``places`` count within documents."""

    ids: Tensor
    places: Tensor
    targets: Tensor
    weights: Tensor


def teach(stage: Teaching, io: StageIO) -> None:
    """Train the labeller as the stage says, and write it to ``io.out / "policy"``."""
    model = load_trainable(stage.base, io, lora=None, seed=stage.seed).model
    tokenizer = build_tokenizer(stage.world_seed, JUDGE_TOKENS)
    add_tokens(model, tokenizer, stage.seed)
    rows = list(
        islice(packed(training_texts(stage, tokenizer), stage.row_tokens), stage.steps * stage.optimisation.batch_size)
    )

    def loss_of(batch: Sequence[Row]) -> LossSum:
        return expectation_loss(model, batch)

    training = Training(model, rows, [stage.row_tokens] * len(rows), loss_of)
    fit(training, stage.optimisation, io, budget=None, seed=stage.seed)
    save_weights(HFPolicy(Built(by=stage), model, tokenizer), io.out / PAYLOAD)


def add_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Give the model embeddings for the tokens behind its own: random from the seed, the grades near a line.

    On a line neighbouring grades are alike and their order is plain, which comparing two grades needs: of two trials
    without it, one had not learnt after 600 steps that 8 is more than 7.
    """
    known = model.get_input_embeddings().num_embeddings
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    table = model.get_input_embeddings().weight
    generator = torch.Generator().manual_seed(seed)
    numbers = [tokenizer.convert_tokens_to_ids(grade) for grade in GRADES]
    with torch.no_grad():
        drawn = torch.empty(len(tokenizer) - known, table.shape[1]).normal_(generator=generator)
        table[known:] = (drawn * float(table[:known].std())).to(table.device)
        along = torch.linspace(0, 1, len(GRADES), device=table.device)[:, None]
        line = torch.lerp(table[numbers[0]], table[numbers[-1]], along)
        table[numbers] = 1.5 * line + 0.5 * table[numbers]


def training_texts(stage: Teaching, tokenizer: PreTrainedTokenizerBase) -> Iterator[TrainingText]:
    """Yield endless documents: graded ones, and a share of ordinary ones, so that what the base knows is kept."""
    draws = Draws("atlas", stage.world_seed, "lessons", stage.seed)
    ordinary, judged = _ordinary(stage, tokenizer), _graded(stage, tokenizer)
    while True:
        yield next(ordinary if draws.chance(stage.ordinary_share) else judged)


def packed(stream: Iterator[TrainingText], tokens: int) -> Iterator[Row]:
    """Yield rows filled with as many whole documents as follow each other into them; longer ones are left out."""
    several: list[TrainingText] = []
    free = tokens
    for text in stream:
        if len(text.ids) > tokens:
            continue
        if len(text.ids) > free:
            yield row_of(several, tokens)
            several, free = [], tokens
        several.append(text)
        free -= len(text.ids)


def row_of(several: Sequence[TrainingText], tokens: int) -> Row:
    """Return a row that holds these documents, padded to so many tokens."""
    free = tokens - sum(len(one.ids) for one in several)
    return Row(
        ids=torch.tensor([number for one in several for number in one.ids] + [0] * free),
        places=torch.tensor([place for one in several for place in range(len(one.ids))] + list(range(free))),
        targets=torch.tensor([target for one in several for target in one.targets] + [UNREAD] * free),
        weights=torch.tensor([weight for one in several for weight in one.weights] + [0.0] * free),
    )


def expectation_loss(model: PreTrainedModel, batch: Sequence[Row]) -> LossSum:
    """Return the weighted cross-entropy of what is expected, summed over the places where anything is.

    Positions start anew at every document, from which transformers infers that attention must not cross documents.
    """
    parts = zip(*((row.ids, row.places, row.targets, row.weights) for row in batch), strict=True)
    ids, places, targets, weights = (torch.stack(list(part)).to(model.device) for part in parts)
    states = model.get_decoder()(ids, position_ids=places, use_cache=False).last_hidden_state
    read = targets != UNREAD
    logits = model.get_output_embeddings()(states[read]).float()
    losses = cross_entropy(logits, targets[read], reduction="none")
    return LossSum((losses * weights[read]).sum(), weight=float(weights[read].sum()))


def _ordinary(stage: Teaching, tokenizer: PreTrainedTokenizerBase) -> Iterator[TrainingText]:
    stream = documents(stage.world_seed, stage.seed + 1)
    while True:
        texts = [laid_out(document) for document in islice(stream, DOCUMENTS_AT_ONCE)]
        for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]:
            yield TrainingText(ids, [*ids[1:], UNREAD], [stage.ordinary_weight] * len(ids))


def _graded(stage: Teaching, tokenizer: PreTrainedTokenizerBase) -> Iterator[TrainingText]:
    stream = graded(stage.world_seed, stage.seed)
    numbers = tokenizer.get_vocab()
    while True:
        several = list(islice(stream, DOCUMENTS_AT_ONCE))
        texts = [part.text for parts in several for part in parts]
        pieces = iter(tokenizer(texts, add_special_tokens=False)["input_ids"])
        for parts in several:
            text = TrainingText([], [], [])
            for part in parts:
                piece = next(pieces)
                weight = stage.verdict_weight if part.text.endswith(words.BETTER) else 1.0
                target = UNREAD if part.expected is None else numbers[part.expected]
                text.ids.extend(piece)
                text.targets.extend([*[UNREAD] * (len(piece) - 1), target])
                text.weights.extend([weight] * len(piece))
            yield text
