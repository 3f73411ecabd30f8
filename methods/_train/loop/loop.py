"""The one training loop: equal treatment of all methods is what a comparison rests on.

Data order, splitting, masking, normalisation, schedule, clipping, budget and metering are the same for every method;
a method brings its loss. Dropout of the base model is off (as in the PPO reference implementations; log-probabilities
of policy and reference then agree at the start); dropout of a LoRA adapter is on when its setting is above 0.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from bench.core.errors import StageError
from bench.core.meter import Meter
from bench.core.method import Budget
from bench.core.stage import LOG_FILE, StageIO
from bench.models.packing.sharing import as_in_evaluation
from bench.models.quantised.load_packed import numbers_in
from methods._train.loop import ranks
from methods._train.loop.batches import Costs, micro_batches, plan_of
from methods._train.loop.checkpoint import Pace, State, read_checkpoint
from methods._train.loop.compile import compiled_blocks
from methods._train.loop.optimizer import Optimizer
from methods._train.loop.recompute import recomputed_activations
from methods._train.settings import Optimisation

E = TypeVar("E")


@dataclass(frozen=True)
class LossSum:
    """The loss of one forward pass, summed and not averaged.

    ``total`` is the sum of the loss over what the method counts (response tokens for SFT, pairs for DPO), with its
    graph, shape (). ``weight`` is how many that are. ``metrics`` are sums over the same things. The loop divides all
    of them by the weight of the whole optimiser batch, so that splitting a batch changes nothing.
    """

    total: Tensor
    weight: float
    metrics: Mapping[str, Tensor | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Training(Generic[E]):
    """What is trained on what.

    ``model``: its parameters with ``requires_grad`` are trained, in place. ``examples``: anything ``loss_of``
    understands. ``tokens[i]``: the tokens of example i that go forward and backward (prompt and responses, no padding):
    the measure of metering and of the budget. ``read[i]``: further tokens of it that only go forward. ``padded[i]``:
    the tokens it takes up in a forward pass, where that is more than ``tokens[i]``. ``loss_of`` gets the examples of
    one forward pass. ``before_step`` gets all forward passes of an optimiser batch, without gradient and without
    dropout, before the first of them: for a loss that needs a statistic of the whole batch. In several processes it
    gets those of this process (there may be none), and must sum over the others by ``ranks.summed``.
    ``checkpoint_steps``: a checkpoint after so many steps; None: by time.
    """

    model: nn.Module
    examples: Sequence[E]
    tokens: Sequence[int]
    loss_of: Callable[[Sequence[E]], LossSum]
    read: Sequence[int] | None = None
    padded: Sequence[int] | None = None
    before_step: Callable[[Sequence[Sequence[E]]], None] | None = None
    checkpoint_steps: int | None = None


def fit(training: Training[E], optimisation: Optimisation, io: StageIO, *, budget: Budget | None, seed: int) -> None:
    """Train ``training.model`` in place, and write one log row per step to ``io.out / "log.jsonl"``.

    Usable for any loss over any examples. Causal language modelling on packed sequences, for instance::

        def loss_of(batch):                                  # batch: a sequence of 1-D LongTensors of one length
            ids = torch.stack(list(batch))
            logits = model(ids).logits[:, :-1].float()
            total = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum")
            return LossSum(total, weight=ids[:, 1:].numel())

        training = Training(model, rows, [len(row) for row in rows], loss_of)
        fit(training, Optimisation(lr=5e-3, epochs=1, batch_size=8), io, budget=None, seed=0)

    The caller saves the model. What is trained is float32; a bfloat16 model computes in bfloat16, its parameters being
    rounded from float32 masters after every step (``methods._train.loop.optimizer``). A run that was killed goes on
    from its last checkpoint in ``io.scratch`` to the same weights, bit for bit, unless its budget is in seconds. Seeds
    decide the order of the examples and the noise of adapter dropout, which is drawn per forward pass: where a batch is
    split otherwise (``micro_tokens``, or several processes) it is other noise, and the weights differ by more than
    rounding. Several processes of one launch share each optimiser batch and end with the same weights, without adapter
    dropout those of one process up to rounding; the main process alone writes. With ``io.weights`` sharded each holds a
    part of the weights while it trains (``methods._train.loop.sharding``).

    Raises StageError for a loss or gradient that is not finite (nothing is saved), no examples, a model of which
    nothing can be trained, a float16 model, and a budget below one example.
    """
    _check(training)
    with _only_adapter_dropout(training.model):
        run = _Training(training, optimisation, io, budget, seed)
        run.resume()
        with ExitStack() as during:
            if optimisation.activations == "recomputed":
                during.enter_context(recomputed_activations(training.model))
            if optimisation.graph == "compiled":
                during.enter_context(compiled_blocks(training.model))
            run.train()
        run.optimizer.finish()
    if ranks.is_main():
        write_log(run.state.log, io)


def write_log(rows: Sequence[Mapping[str, float]], io: StageIO) -> None:
    """Write one JSON object per row to ``io.out / "log.jsonl"``."""
    lines = [json.dumps(row, allow_nan=False) for row in rows]
    (io.out / LOG_FILE).write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def write_diagnostics(found: Mapping[str, object], io: StageIO) -> None:
    """Write what a stage tells of itself (``StageIO.diagnose``), from the main process alone."""
    if ranks.is_main():
        io.diagnose(found)


def _check(training: Training[E]) -> None:
    if not training.examples:
        raise StageError("there is nothing to train on: the data have no rows")


class _Training(Generic[E]):
    """One training under way."""

    def __init__(
        self, training: Training[E], optimisation: Optimisation, io: StageIO, budget: Budget | None, seed: int
    ) -> None:
        self.training, self.optimisation, self.io, self.budget, self.seed = training, optimisation, io, budget, seed
        model = training.model
        read = training.read if training.read is not None else [0] * len(training.examples)
        parameters = numbers_in(model)
        self.costs = Costs(training.tokens, read, parameters)
        self.batches = plan_of(optimisation, self.costs, budget, seed)
        self.optimizer = Optimizer(model, optimisation, io.device, weights=io.weights)
        self.state = State(step=0, weights={}, optimiser={}, log=[], meter=Meter())
        self.started = time.monotonic()

    def resume(self) -> None:
        """Take up the state of a killed run, if it left one."""
        found = read_checkpoint(self.io)
        steps = ranks.gathered(None if found is None else found.step)
        if len(set(steps)) > 1:
            raise StageError(
                f"the processes found checkpoints of different steps: {steps}. They must see one scratch folder: "
                "put the store on a file system that all of them share."
            )
        if found is None:
            return
        self.optimizer.restore(found.weights, found.optimiser)
        self.state = found
        self.started -= found.meter.seconds
        self.io.meter = self.io.meter + found.meter

    def train(self) -> None:
        """Take every step that is left, with checkpoints on the way."""
        pace = Pace(self.training.checkpoint_steps)
        while self.state.step < len(self.batches) and not self._time_is_up():
            self.state.log.append(self._step(self.state.step))
            self.state.step += 1
            if ranks.agreed(pace.due(self.state.step)):
                snapshot = self._snapshot()
                if ranks.is_main():
                    pace.write(snapshot, self.io.scratch)
            self.io.progress(self.state.step, len(self.batches), "step")

    def _time_is_up(self) -> bool:
        if self.budget is None or self.budget.axis != "seconds" or self.state.step == 0:
            return False
        return ranks.agreed(time.monotonic() - self.started >= self.budget.value)

    def _step(self, step: int) -> dict[str, float]:
        """Take one optimiser step and return its log row."""
        batch = self.batches[step]
        rate = self.optimisation.rate_at(step, len(self.batches))
        passes = self._passes(batch)
        if self.training.before_step is not None:
            with torch.no_grad(), as_in_evaluation(self.training.model), self.optimizer.freely():
                self.training.before_step(passes)
        missing = self._missing(len(passes))
        sums = _Sums()
        for number, part in enumerate(passes):
            noise = [self.seed, step, number * ranks.count() + ranks.rank()]
            with _noise(self.io.device, noise):
                loss = self.training.loss_of(part)
            self.optimizer.backward(loss.total)
            sums.add(loss)
        self._keep_up(batch, missing)
        weight, means = sums.over_all()
        row = {"step": step, **means, "lr": rate, "grad_norm": self.optimizer.step(rate, weight)}
        wrong = [name for name in ("loss", "grad_norm") if not math.isfinite(row[name])]
        if wrong:
            raise StageError(
                f"step {step} of {len(self.batches)}: {wrong[0]} is {row[wrong[0]]}, so training has diverged and "
                "nothing is kept. Lower lr, lengthen warmup, or lower max_grad_norm."
            )
        self._meter(batch)
        return row

    def _passes(self, batch: np.ndarray) -> list[list[E]]:
        """Return the examples of each forward pass of this process."""
        lengths = self.training.tokens if self.training.padded is None else self.training.padded
        share = ranks.shares(batch, lengths, ranks.count())[ranks.rank()]
        split = micro_batches(share, lengths, self.optimisation.micro_tokens)
        return [[self.training.examples[index] for index in part] for part in split]

    def _missing(self, passes: int) -> int:
        """Return how many passes other processes run beyond those of this one, where weights are shared out."""
        return max(ranks.gathered(passes)) - passes if self.optimizer.shared_out else 0

    def _keep_up(self, batch: np.ndarray, missing: int) -> None:
        """Run passes that count nothing: the others need this process's part of the weights for theirs."""
        shortest = min(map(int, batch), key=lambda index: self.training.tokens[index])
        for _ in range(missing):
            with _noise(self.io.device, [self.seed]):
                loss = self.training.loss_of([self.training.examples[shortest]])
            self.optimizer.backward(loss.total * 0)

    def _meter(self, batch: np.ndarray) -> None:
        for meter in (self.io.meter, self.state.meter):
            meter.examples += len(batch)
            meter.trained_tokens += sum(self.costs.trained[index] for index in batch)
            meter.read_tokens += sum(self.costs.read[index] for index in batch)
            meter.flops += sum(self.costs.flops(index) for index in batch)

    def _snapshot(self) -> State:
        self.state.meter.seconds = time.monotonic() - self.started
        weights, moments = self.optimizer.weights(), self.optimizer.moments()
        return State(self.state.step, weights, moments, self.state.log, self.state.meter)


class _Sums:
    """Sums over this process's forward passes of one optimiser batch."""

    def __init__(self) -> None:
        self.weight = 0.0
        self._sums: dict[str, Tensor | float] = {}

    def add(self, loss: LossSum) -> None:
        self.weight += loss.weight
        for name, value in {"loss": loss.total, **loss.metrics}.items():
            self._sums[name] = self._sums.get(name, 0.0) + (value.detach() if isinstance(value, Tensor) else value)

    def over_all(self) -> tuple[float, dict[str, float]]:
        """Return the weight and the means of an optimiser batch, over the forward passes of all processes.

        Raises StageError when there was nothing to average.
        """
        shares = ranks.gathered((self.weight, {name: float(value) for name, value in self._sums.items()}))
        weight = sum(part for part, _ in shares)
        if weight <= 0:
            raise StageError("an optimiser batch has nothing to learn from: its responses are empty")
        totals: dict[str, float] = {}
        for _, sums in shares:
            for name, value in sums.items():
                totals[name] = totals.get(name, 0.0) + value
        return weight, {name: value / weight for name, value in totals.items()}


@contextmanager
def _only_adapter_dropout(model: nn.Module) -> Iterator[None]:
    """Keep the model in evaluation mode, except for the dropout of a LoRA adapter; evaluation mode afterwards."""
    model.eval()
    for name, module in model.named_modules():
        if "lora_dropout" in name:
            module.train()
    try:
        yield
    finally:
        model.eval()


@contextmanager
def _noise(device: str, seed: Sequence[int]) -> Iterator[None]:
    """Give dropout the noise of this seed, and leave the generators of the process as they were.

    Dropout draws from the global generators and takes no other, so they are seeded inside a fork.
    """
    value = int(np.random.SeedSequence(list(seed)).generate_state(1, np.uint64)[0] >> 1)
    place = torch.device(device)
    devices = [place] if place.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(value)
        if devices:
            with torch.cuda.device(place):
                torch.cuda.manual_seed(value)
        yield
