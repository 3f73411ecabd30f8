"""Training speed: DPO, SFT and reward models against TRL's trainers."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from transformers import LlamaForCausalLM, LlamaForSequenceClassification, PrinterCallback

from bench.models.lengths import TokenRow, Yielding, fit_rows
from bench.models.reward_model import new_head, rewards_of
from methods._train.loop.loop import LossSum, fit
from methods._train.loop.tune import Example, Examples, training_of
from methods._train.pairs.labels import PairLabels
from methods._train.pairs.logprobs import PairLogprobs
from methods._train.pairs.score_reference import scored
from methods._train.pairs.train import pair_logprobs, with_reference
from methods._train.rewards.train import pair_loss
from methods._train.settings import Optimisation
from methods._train.sft.train import sft_loss
from methods.dpo import dpo_loss
from tests.benchmarks.measure import Row, alternately
from tests.benchmarks.workloads import Pair, Size, pairs, policy, stage_io, text, tokenizer

BETA = 0.1
RATE = 1e-4


LONGEST = 100_000  # nothing is cut


def examples_in(rows: Sequence[Pair], both: Sequence[str] = ("chosen", "rejected")) -> Examples:
    """Return the rows as examples, with these of their responses."""
    read = [
        TokenRow((Yielding(row.prompt, ()),), [getattr(row, name) for name in both], [True] * len(both)) for row in rows
    ]
    return Examples(fit_rows("preferences", read, LONGEST)[0])


def our_dpo(model: LlamaForCausalLM, rows: Sequence[Pair], batch: int) -> Callable[[int], float]:
    """Return a function that trains once over the pairs and returns the seconds."""
    words = tokenizer(model.config.vocab_size)
    examples, trained = examples_in(rows), policy(model, words)
    found = scored(trained, examples.fitted, len(rows), stage_io())
    sums, tokens = found["logprob"], found["tokens"]
    frozen = PairLogprobs(sums[:, 0], sums[:, 1], tokens[:, 0], tokens[:, 1])

    labels = PairLabels(torch.ones(len(rows)), torch.zeros(len(rows)), soft=False)

    def loss_of(part: Sequence[Example]) -> LossSum:
        numbers = [example.row for example in part]
        logprobs, own = pair_logprobs(trained, part), labels.at(numbers)
        against = frozen.at(torch.tensor(numbers))
        return LossSum(dpo_loss(logprobs, against, BETA).sum(), len(part), with_reference(logprobs, against, own))

    training = training_of(trained, examples, loss_of)
    optimisation = Optimisation(lr=RATE, epochs=1, batch_size=batch)

    def run(number: int) -> float:
        began = time.process_time()
        fit(training, optimisation, stage_io(), budget=None, seed=number)
        return time.process_time() - began

    return run


def their_settings(batch: int) -> dict[str, Any]:
    """Return what makes TRL fastest on a CPU thread: nothing logged, saved, evaluated or recomputed."""
    return {
        "output_dir": tempfile.mkdtemp(prefix="benchmark-"),
        "per_device_train_batch_size": batch,
        "learning_rate": RATE,
        "num_train_epochs": 1,
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        "logging_strategy": "no",
        "save_strategy": "no",
        "eval_strategy": "no",
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": False,
        "max_length": 1024,
    }


def trained_seconds(trainer: Any) -> float:
    """Return the processor seconds of one training; a second call trains the same model on."""
    trainer.remove_callback(PrinterCallback)
    began = time.process_time()
    trainer.train()
    return time.process_time() - began


def their_dpo(model: LlamaForCausalLM, rows: Sequence[Pair], batch: int) -> Callable[[int], float]:
    """Return a function that trains once over the pairs and returns the seconds, the reference precomputed."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    data = [
        {"prompt": text(row.prompt) + " ", "chosen": text(row.chosen), "rejected": text(row.rejected)} for row in rows
    ]
    trainer = DPOTrainer(
        model=copy.deepcopy(model),
        args=DPOConfig(**their_settings(batch), beta=BETA, precompute_ref_log_probs=True),
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer(model.config.vocab_size),
    )
    first, row = trainer.train_dataset[0], rows[0]
    if (first["prompt_ids"], first["chosen_ids"], first["rejected_ids"]) != (row.prompt, row.chosen, row.rejected):
        raise ValueError(f"TRL trains on other tokens than we do: {first}")

    return lambda _number: trained_seconds(trainer)


def dpo(size: Size, lengths: tuple[int, int], count: int, goal: float, rounds: int) -> Row:
    """Compare pairs per second at batches of 16."""
    model = size.model()
    rows = pairs(count, *lengths)
    ours, theirs = alternately(our_dpo(model, rows, 16), their_dpo(model, rows, 16), rounds)
    data = f"{count} pairs, prompt:response {lengths[0]}:{lengths[1]}, batch 16"
    return Row(
        "DPO, against DPOTrainer",
        size.name,
        data,
        "pairs/s",
        [count / seconds for seconds in ours],
        [count / seconds for seconds in theirs],
        goal,
    )


def our_sft(model: LlamaForCausalLM, rows: Sequence[Pair], batch: int) -> Callable[[int], float]:
    trained = policy(model, tokenizer())
    examples = examples_in(rows, ("chosen",))
    training = training_of(trained, examples, lambda part: sft_loss(trained, part))
    optimisation = Optimisation(lr=RATE, epochs=1, batch_size=batch)

    def run(number: int) -> float:
        began = time.process_time()
        fit(training, optimisation, stage_io(), budget=None, seed=number)
        return time.process_time() - began

    return run


def their_sft(model: LlamaForCausalLM, rows: Sequence[Pair], batch: int, strategy: str) -> Callable[[int], float]:
    """Return a function that trains once over the packed rows and returns the seconds."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    data = [
        {
            "input_ids": row.prompt + row.chosen,
            "completion_mask": [0] * len(row.prompt) + [1] * len(row.chosen),
        }
        for row in rows
    ]
    length = 256
    per_pack = length / (sum(len(row["input_ids"]) for row in data) / len(data))
    settings = {**their_settings(max(1, round(batch / per_pack))), "max_length": length}
    trainer = SFTTrainer(
        model=copy.deepcopy(model),
        args=SFTConfig(**settings, packing=True, packing_strategy=strategy, completion_only_loss=True, loss_type="nll"),
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer(),
    )

    return lambda _number: trained_seconds(trainer)


def sft(size: Size, count: int, rounds: int, strategy: str = "wrapped") -> Row:
    """Compare tokens per second, prompt and response, padding not counted; the loss is on responses."""
    model = size.model()
    rows = pairs(count, 48, 80)
    tokens = sum(len(row.prompt) + len(row.chosen) for row in rows)
    ours, theirs = alternately(our_sft(model, rows, 32), their_sft(model, rows, 32, strategy), rounds)
    return Row(
        f"SFT, against SFTTrainer with packing ({strategy})",
        size.name,
        f"{count} rows, prompt:response 48:80, batch 32",
        "tokens/s",
        [tokens / seconds for seconds in ours],
        [tokens / seconds for seconds in theirs],
        1.2,
    )


def our_reward_model(model: LlamaForCausalLM, rows: Sequence[Pair], batch: int) -> Callable[[int], float]:
    trained = policy(model, tokenizer(model.config.vocab_size))
    head = new_head(trained, seed=0)
    examples = examples_in(rows)
    label, margin = torch.ones(len(rows)), torch.zeros(len(rows))

    def loss_of(part: Sequence[Example]) -> LossSum:
        numbers = [example.row for example in part]
        chosen, rejected = rewards_of(trained, head, [example.group for example in part]).view(-1, 2).unbind(-1)
        return pair_loss(chosen, rejected, label[numbers], margin[numbers])

    training = replace(training_of(trained, examples, loss_of), model=nn.ModuleList([trained.model, head]))
    optimisation = Optimisation(lr=RATE, epochs=1, batch_size=batch)

    def run(number: int) -> float:
        began = time.process_time()
        fit(training, optimisation, stage_io(), budget=None, seed=number)
        return time.process_time() - began

    return run


def their_reward_model(model: LlamaForCausalLM, rows: Sequence[Pair], batch: int) -> Callable[[int], float]:
    """Return a function that trains once over the pairs, tokenised already, and returns the seconds."""
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    scorer = LlamaForSequenceClassification(copy.deepcopy(model.config))
    scorer.num_labels = scorer.config.num_labels = 1
    scorer.score = nn.Linear(model.config.hidden_size, 1, bias=False)
    scorer.model.load_state_dict(model.model.state_dict())
    data = [{"chosen_ids": row.prompt + row.chosen, "rejected_ids": row.prompt + row.rejected} for row in rows]
    trainer = RewardTrainer(
        model=scorer,
        args=RewardConfig(**their_settings(batch)),
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer(model.config.vocab_size),
    )

    return lambda _number: trained_seconds(trainer)


def reward_model(size: Size, lengths: tuple[int, int], count: int, goal: float, rounds: int) -> Row:
    """Compare pairs per second at batches of 16."""
    model = size.model()
    rows = pairs(count, *lengths)
    ours, theirs = alternately(our_reward_model(model, rows, 16), their_reward_model(model, rows, 16), rounds)
    return Row(
        "reward model, against RewardTrainer",
        size.name,
        f"{count} pairs, prompt:response {lengths[0]}:{lengths[1]}, batch 16",
        "pairs/s",
        [count / seconds for seconds in ours],
        [count / seconds for seconds in theirs],
        goal,
    )
