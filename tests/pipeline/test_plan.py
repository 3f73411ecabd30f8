"""What a method is given: all that the comparison shares, its own adapter, and the seed of the run."""

from __future__ import annotations

from bench.config.comparison import Common
from bench.core.method import Budget, Given, Lora, Shared
from bench.core.policy import Pretrained
from bench.pipeline.plan import given_for, training_seed
from tests.statistics.build import comparison

BASE, SMALL = (Pretrained(path=name, digest=digit * 64) for name, digit in (("base", "0"), ("small", "1")))


def test_what_is_shared_is_declared_once() -> None:
    assert Given.model_fields.keys() - Shared.model_fields.keys() == {"seed", "start", "reference"}
    assert Common.model_fields.keys() - Shared.model_fields.keys() == {"seeds", "dtype"}


def test_a_method_is_given_what_is_shared_and_its_own_adapter_and_seed() -> None:
    shared = {"base": BASE, "small": SMALL, "budget": Budget(axis="tokens", value=9.0), "max_length": 64}
    common = Common(**shared, lora=Lora(rank=2), seeds=(3, 4))
    plan = comparison().model_copy(update={"given": common})
    arm = plan.arm("a_again").model_copy(update={"lora": Lora(rank=4)})
    expected = Given(**shared, lora=Lora(rank=4), seed=training_seed(3, "second"))
    assert given_for(plan, arm, 3) == expected
    assert given_for(plan, plan.arm("a"), 3) == Given(**shared, lora=None, seed=3)
