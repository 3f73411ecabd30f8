"""The training loop: order, splitting, budgets, schedules, metering, resuming."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.core.errors import StageError
from bench.core.method import Budget
from bench.core.stage import Progress, StageIO
from methods._train.loop.batches import Costs, micro_batches, order_of, plan_of
from methods._train.loop.loop import LossSum, Training, fit
from methods._train.settings import Optimisation
from tests.methods.tiny import Bench, log, model

PLAIN = Optimisation(lr=1e-2, epochs=1, batch_size=4, warmup=0.0, schedule="constant")


def sequences(count: int = 12, shortest: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randint(4, 30, (shortest + number % 5,), generator=generator) for number in range(count)]


def training(net: nn.Module, rows: Sequence[Tensor], seen: list[list[int]] | None = None) -> Training[Tensor]:
    """Causal language modelling, as a world's pretraining uses the loop."""

    def loss_of(batch: Sequence[Tensor]) -> LossSum:
        if seen is not None:
            seen.append([id(row) for row in batch])
        ids = nn.utils.rnn.pad_sequence(list(batch), batch_first=True, padding_value=-100)
        logits = net(ids.clamp_min(0), attention_mask=(ids >= 0).long()).logits[:, :-1]
        targets = ids[:, 1:]
        total = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum")
        return LossSum(total, float((targets >= 0).sum()), {"half": total / 2})

    return Training(net, rows, [len(row) for row in rows], loss_of)


def weights(net: nn.Module) -> dict[str, Tensor]:
    return {name: part.detach().clone() for name, part in net.named_parameters()}


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    for (name, mine), theirs in zip(one.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs), name


def test_splitting_a_batch_changes_nothing(bench: Bench) -> None:
    nets = [model() for _ in range(3)]
    for number, (net, cap) in enumerate(zip(nets, (10_000, 16, 1), strict=True)):
        settings = PLAIN.model_copy(update={"micro_tokens": cap, "weight_decay": 0.1})
        fit(training(net, sequences()), settings, bench.io(str(number)), budget=None, seed=0)
    whole = weights(nets[0])
    for net in nets[1:]:
        for name, part in net.named_parameters():
            assert (part - whole[name]).abs().max() < 1e-5, name
    rows = [log(bench.root / name / "out") for name in "012"]
    for one, other in zip(rows[0], rows[2], strict=True):
        assert one == pytest.approx(other, rel=1e-5)


def test_gradient_of_a_split_batch_is_that_of_the_whole(bench: Bench) -> None:
    norms = []
    for cap in (10_000, 9):
        settings = PLAIN.model_copy(update={"micro_tokens": cap, "batch_size": 12})
        fit(training(model(), sequences()), settings, bench.io(str(cap)), budget=None, seed=0)
        norms.append(log(bench.root / str(cap) / "out")[0])
    assert norms[0]["grad_norm"] == pytest.approx(norms[1]["grad_norm"], rel=1e-6)
    assert norms[0]["loss"] == pytest.approx(norms[1]["loss"], rel=1e-6)
    assert norms[0]["half"] == pytest.approx(norms[0]["loss"] / 2, rel=1e-6)


def test_seeds_decide_the_order(bench: Bench) -> None:
    first = []
    rows = sequences()
    for seed in (0, 1, 0):
        seen: list[list[int]] = []
        fit(training(model(), rows, seen), PLAIN, bench.io(f"{seed}{len(first)}"), budget=None, seed=seed)
        first.append(sorted(seen[0]))
    assert first[0] != first[1]
    assert first[0] == first[2]


def test_order_does_not_depend_on_the_batch_size() -> None:
    costs = Costs([5] * 11, [0] * 11, 1)
    plans = [plan_of(PLAIN.model_copy(update={"batch_size": size, "epochs": 2}), costs, None, 3) for size in (1, 4, 7)]
    assert [np.concatenate(plan).tolist() for plan in plans] == [order_of(11, 2, 3).tolist()] * 3
    assert [len(batch) for batch in plans[1]] == [4, 4, 4, 4, 4, 2]
    assert sorted(order_of(11, 2, 3)[:11].tolist()) == list(range(11))


def test_micro_batches_group_by_length() -> None:
    lengths = [3, 9, 4, 9, 2, 20]
    assert micro_batches(np.arange(6), lengths, 18) == [[5], [1, 3], [2, 0, 4]]


@pytest.mark.parametrize(
    ("axis", "value", "examples"),
    [("examples", 5, 5), ("examples", 1000, 24), ("tokens", 60, 10), ("flops", 6 * 100 * 60, 10)],
)
def test_budgets_are_never_exceeded(axis: str, value: float, examples: int) -> None:
    costs = Costs([6] * 12, [0] * 12, parameters=100)
    budget = Budget.model_validate({"axis": axis, "value": value})
    plan = plan_of(PLAIN.model_copy(update={"epochs": 2}), costs, budget, 0)
    assert sum(len(batch) for batch in plan) == examples


def test_a_budget_below_one_example_is_refused() -> None:
    with pytest.raises(StageError, match="does not pay for the first example"):
        plan_of(PLAIN, Costs([6], [0], 100), Budget(axis="tokens", value=5), 0)


def test_a_budget_in_seconds_ends_training(bench: Bench) -> None:
    settings = PLAIN.model_copy(update={"epochs": 1000})
    io = bench.io()
    fit(training(model(), sequences()), settings, io, budget=Budget(axis="seconds", value=0.2), seed=0)
    assert 0 < io.meter.examples < 12_000


def test_the_schedule_is_laid_out_for_the_budget(bench: Bench) -> None:
    settings = PLAIN.model_copy(update={"epochs": 10, "schedule": "linear"})
    fit(training(model(), sequences()), settings, bench.io(), budget=Budget(axis="examples", value=16), seed=0)
    assert [row["lr"] for row in log(bench.root / "stage" / "out")] == pytest.approx([1e-2, 7.5e-3, 5e-3, 2.5e-3])


def test_schedules() -> None:
    cosine = Optimisation(lr=1.0, warmup=0.2, schedule="cosine")
    rates = [cosine.rate_at(step, 10) for step in range(10)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert rates[6] == pytest.approx(0.5)
    assert rates == sorted(rates[:2]) + sorted(rates[2:], reverse=True)
    assert min(rates) > 0
    constant = Optimisation(lr=1.0, warmup=0.0, schedule="constant")
    assert {constant.rate_at(step, 7) for step in range(7)} == {1.0}


def test_the_meter_counts(bench: Bench) -> None:
    net, rows, told = model(), sequences(), list[Progress]()
    io = bench.io("stage", told.append)
    fit(training(net, rows), PLAIN, io, budget=None, seed=0)
    tokens = sum(len(row) for row in rows)
    assert io.meter.examples == 12
    assert io.meter.trained_tokens == tokens
    assert io.meter.flops == 6 * tokens * sum(part.numel() for part in net.parameters())
    assert [(item.done, item.total, item.unit) for item in told] == [(1, 3, "step"), (2, 3, "step"), (3, 3, "step")]
    assert told[-1].tokens == tokens


def test_no_decay_on_norms_and_embeddings(bench: Bench) -> None:
    net = model()
    before = weights(net)

    def nothing(batch: Sequence[Tensor]) -> LossSum:
        return LossSum(0 * net(batch[0][None]).logits.sum(), 1.0)

    settings = PLAIN.model_copy(update={"weight_decay": 0.5, "lr": 0.1})
    fit(Training(net, sequences(), [1] * 12, nothing), settings, bench.io(), budget=None, seed=0)
    moved = {name for name, part in net.named_parameters() if not torch.equal(part, before[name])}
    assert moved
    assert not [name for name in moved if "norm" in name or "embed_tokens" in name]
    assert all("proj" in name or "lm_head" in name for name in moved)


def test_a_loss_that_is_not_finite_stops_the_stage(bench: Bench) -> None:
    net = model()
    calls: list[int] = []

    def loss_of(batch: Sequence[Tensor]) -> LossSum:
        calls.append(1)
        factor = math.nan if len(calls) == 3 else 1.0
        return LossSum(factor * net(batch[0][None]).logits.sum(), 1.0)

    settings = PLAIN.model_copy(update={"batch_size": 1})
    with pytest.raises(StageError, match=r"step 2 of 12: loss is nan.*Lower lr"):
        fit(Training(net, sequences(), [5] * 12, loss_of), settings, bench.io(), budget=None, seed=0)
    assert not list((bench.root / "stage" / "out").iterdir())
    assert all(torch.isfinite(part).all() for part in net.parameters())


class Noisy(nn.Module):
    """A language model with dropout in an adapter's place."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = model()
        self.lora_dropout = nn.Dropout(0.5)
        self.dropout = nn.Dropout(0.5)
        self.masks: list[Tensor] = []

    def forward(self, ids: Tensor, attention_mask: Tensor) -> object:
        self.masks.append(self.lora_dropout(torch.ones(8)))
        assert torch.equal(self.dropout(torch.ones(8)), torch.ones(8))
        found = self.inner(ids, attention_mask=attention_mask)
        found.logits = found.logits * self.masks[-1].mean()
        return found


def test_only_adapter_dropout_is_on_and_it_is_seeded(bench: Bench) -> None:
    nets = [Noisy(), Noisy()]
    state = torch.get_rng_state()
    for number, net in enumerate(nets):
        fit(training(net, sequences()), PLAIN, bench.io(str(number)), budget=None, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(torch.stack(nets[0].masks), torch.stack(nets[1].masks))
    assert not torch.equal(nets[0].masks[0], nets[0].masks[1])
    assert_equal(*nets)


class Killed(Exception):
    pass


@pytest.mark.parametrize("checkpoint_steps", [1, 2])
def test_a_killed_training_goes_on_to_the_same_weights(bench: Bench, checkpoint_steps: int) -> None:
    settings = PLAIN.model_copy(update={"epochs": 3, "schedule": "cosine", "warmup": 0.2, "weight_decay": 0.01})

    def attempt(name: str, kill_at: int | None) -> tuple[nn.Module, StageIO]:
        def tell(progress: Progress) -> None:
            if progress.done == kill_at:
                raise Killed

        net, io = Noisy(), bench.io(name, tell)
        work = training(net, sequences())
        work = Training(net, work.examples, work.tokens, work.loss_of, checkpoint_steps=checkpoint_steps)
        fit(work, settings, io, budget=None, seed=5)
        return net, io

    whole, undisturbed = attempt("whole", None)
    for kill_at in (3, 6):
        with pytest.raises(Killed):
            attempt("killed", kill_at)
        assert not list((bench.root / "killed" / "out").iterdir())
    again, resumed = attempt("killed", None)
    assert isinstance(again, Noisy)
    assert len(again.masks) < 9
    assert_equal(whole, again)
    assert log(undisturbed.out) == log(resumed.out)
    one, other = undisturbed.meter.as_dict(), resumed.meter.as_dict()
    assert {**one, "seconds": 0} == {**other, "seconds": 0}
    assert other["seconds"] > 0


def test_a_torn_checkpoint_is_not_used(bench: Bench) -> None:
    io = bench.io()
    (io.scratch / "checkpoint.pt").write_bytes(b"torn")
    fit(training(model(), sequences()), PLAIN, io, budget=None, seed=0)
    assert len(log(io.out)) == 3


def test_bfloat16_weights_train_in_float32_and_come_back(bench: Bench) -> None:
    net = model().bfloat16()
    before = weights(net)
    settings = PLAIN.model_copy(update={"lr": 1e-2, "batch_size": 12})
    fit(training(net, sequences()), settings, bench.io(), budget=None, seed=0)
    assert {part.dtype for part in net.parameters()} == {torch.bfloat16}
    assert any(not torch.equal(part, before[name]) for name, part in net.named_parameters())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [("half", "float16"), ("frozen", "no parameter"), ("empty", "nothing to train on")],
)
def test_what_cannot_be_trained_is_refused(bench: Bench, spoil: str, message: str) -> None:
    net, rows = model(), sequences()
    if spoil == "half":
        net.half()
    if spoil == "frozen":
        net.requires_grad_(False)
    with pytest.raises(StageError, match=message):
        fit(training(net, [] if spoil == "empty" else rows), PLAIN, bench.io(), budget=None, seed=0)


def test_settings_refuse_nonsense() -> None:
    for wrong in ({"lr": -1}, {"lr": 0}, {"warmup": 1.0}, {"epochs": 0}, {"batch_size": -2}, {"max_grad_norm": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Optimisation.model_validate(wrong)


def test_the_log_is_written_at_the_end(bench: Bench) -> None:
    io = bench.io()
    fit(training(model(), sequences()), PLAIN.model_copy(update={"epochs": 5}), io, budget=None, seed=0)
    rows = log(io.out)
    assert [row["step"] for row in rows] == list(range(15))
    assert set(rows[0]) == {"step", "loss", "half", "lr", "grad_norm"}
    assert rows[-1]["loss"] < rows[0]["loss"]
