"""What is drawn for different purposes has different noise, whatever the prompts are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import bench.models.local as under_test
from bench.core.datasets import read_prompts
from bench.core.frozen import digest_of_file
from bench.core.policy import Decoding
from bench.core.reward import FileReward
from bench.core.stage import Stage
from bench.evaluation.generate import Generate
from methods._train.feedback.best_samples import BestOfSamples
from methods._train.feedback.label_pairs import SamplePairs
from methods._train.feedback.revise import Revise, named_principles
from tasks.prompts import Prompts
from tests.methods.tiny import DEMONSTRATIONS, Bench, data, pretrained

SHORT = Decoding(max_new_tokens=3)


def test_a_policy_is_not_evaluated_with_the_noise_it_was_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same prompts, under the same names, with the same seed."""
    rows = [{"prompt": f"ask {word}", "id": f"{number}"} for number, word in enumerate(("one", "two", "six"))]
    prompts, base = data(tmp_path / "prompts.jsonl", rows), pretrained(tmp_path / "model")
    (tmp_path / "r.py").write_text("def reward(prompts, responses):\n    return [1.0 for _ in responses]\n")
    reward = FileReward(path=str(tmp_path / "r.py"), digest=digest_of_file(tmp_path / "r.py"))
    common: dict[str, Any] = {"policy": base, "prompts": prompts, "decoding": SHORT, "seed": 0}
    stages: list[Stage] = [
        Generate(
            policy=base,
            task=Prompts(path=prompts.path, digest=prompts.digest, max_new_tokens=3),
            draws=4,
            seed=0,
        ),
        SamplePairs(**common),
        *(BestOfSamples(**common, n=3, reward=reward, round=number) for number in range(3)),
        Revise(**common, helpful=None, principles=named_principles()["brief"], rounds=1),
    ]
    drawn: list[int] = []
    draw = under_test.draw_batch

    def recorded(session: Any, decoding: Decoding, seeds: Sequence[int], *rest: Any) -> Any:
        drawn.extend(seeds)
        return draw(session, decoding, seeds, *rest)

    monkeypatch.setattr(under_test, "draw_batch", recorded)
    for number, stage in enumerate(stages):
        Bench(tmp_path / f"bench{number}").payload(stage)
    assert len(drawn) == 3 * (4 + 2 + 3 * 3 + 3)
    assert len(set(drawn)) == len(drawn)


def test_prompts_of_one_name_get_names_of_their_own(bench: Bench, tmp_path: Path) -> None:
    ids = ["a#3", "a", "a", "a#3", "a#3#4", "a"]
    rows = [{**row, "id": id_} for row, id_ in zip(DEMONSTRATIONS, ids, strict=False)]
    found = [prompt.id for prompt in read_prompts(data(tmp_path / "p.jsonl", rows), bench.io("read"))]
    assert len(set(found)) == len(found) == 6
    assert found[:2] == ["a#3", "a"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "bench")
