"""Rows that are too long, pairs of equal responses, and responses that were cut while they were written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from bench.core.data import Made
from bench.core.errors import StageError
from bench.core.method import Given, Method
from bench.core.policy import Decoding, Pretrained
from bench.core.reward import FileReward
from bench.core.stage import stages_in
from bench.models.load import load_model
from bench.models.tokenised.token_rows import preference_rows
from methods._shared import fine_tuning_stage, reward_model
from methods._train.feedback.best_samples import BestOfSamples
from methods._train.feedback.label_pairs import SamplePairs
from methods._train.pairs.reference import ReferenceLogprobs
from methods._train.pairs.score_reference import pair_examples
from methods._train.settings import Optimisation, RewardModelSettings
from methods._train.sft.stage import TrainSFT
from methods.dpo import DPO
from methods.hir import HIR
from methods.kto import KTO
from methods.orpo import ORPO
from methods.rloo import RLOO
from tests.methods.tiny import Bench, data, pretrained

QUICK: dict[str, Any] = {"lr": 1e-3, "epochs": 1, "batch_size": 4}
SAME = "abcdefghij" * 4
GOOD = {"prompt": "ask one", "chosen": "red.", "rejected": "no."}
OTHER = {"prompt": "ask two", "chosen": "green.", "rejected": "no no."}
EQUAL = {"prompt": "ask", "chosen": "yes.", "rejected": "yes."}
BECOMES = {"prompt": "tell", "chosen": SAME + "one", "rejected": SAME + "two"}
LONG = {"prompt": "say " * 20 + "it", "chosen": "red.", "rejected": "no."}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Pretrained:
    return pretrained(tmp_path_factory.mktemp("base") / "model")


def told(io_out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((io_out / "diagnostics.json").read_text(encoding="utf-8"))
    return found


def reward(folder: Path) -> FileReward:
    path = folder / "reward.py"
    path.write_text(
        "def reward(prompts, responses):\n    return [float(len(r)) for r in responses]\n", encoding="utf-8"
    )
    return FileReward(path=str(path), digest=hashlib.sha256(path.read_bytes()).hexdigest())


INSTRUCTIONS = {"good": "be good", "bad": "be bad"}
ON_PAIRS: list[Method] = [
    DPO(**QUICK),
    KTO(**QUICK),
    ORPO(**QUICK),
    HIR.model_validate({"instructions": INSTRUCTIONS, **QUICK}),
]


@pytest.mark.parametrize("method", ON_PAIRS, ids=lambda one: type(one).__name__)
def test_equal_pairs_are_dropped_and_counted(method: Method, base: Pretrained, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "bench")
    rows = data(tmp_path / "p.jsonl", [EQUAL, GOOD, BECOMES, OTHER])
    policy = method.policy(Given(base=base, preferences=rows, seed=0, max_length=40))
    (stage,) = stages_in(policy)
    (counts,) = told(bench.run(stage).out)["lengths"]
    assert (counts["rows"], counts["identical"], counts["became_identical"]) == (4, 1, 1)


def test_only_equal_pairs_are_refused(base: Pretrained, tmp_path: Path) -> None:
    given = Given(base=base, preferences=data(tmp_path / "p.jsonl", [EQUAL, EQUAL]), seed=0)
    for stage in (DPO(**QUICK).policy(given).by, reward_model(given, RewardModelSettings(**QUICK))):  # type: ignore[union-attr]
        with pytest.raises(StageError, match="no row is left of 2 preferences: in 2 both responses are the same"):
            Bench(tmp_path / stage.KIND.replace("/", "_")).run(stage)


def test_rows_keep_their_numbers_in_data_and_reference(base: Pretrained, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "bench")
    rows = data(tmp_path / "p.jsonl", [EQUAL, GOOD, BECOMES, LONG, OTHER])
    policy = load_model(base, bench.io())
    examples, counts = pair_examples(policy, preference_rows(rows, policy, bench.io()), 40)
    assert [example.row for example in examples] == [1, 3, 4]
    assert (counts.prompts_cut, counts.lost()) == (1, 2)
    stage = ReferenceLogprobs(policy=base, data=rows, max_length=40)
    io = bench.run(stage)
    assert told(io.out)["lengths"] == [counts.model_dump()]
    from safetensors.torch import load_file

    stored = load_file(io.out / "logprobs.safetensors")
    assert stored["tokens"].tolist() == [[0, 0], [5, 4], [0, 0], [5, 4], [7, 7]]


def test_prompts_of_a_data_set_that_leave_no_room_are_left_out(base: Pretrained, tmp_path: Path) -> None:
    settings = {**QUICK, "updates": 1, "prompts_per_update": 2, "samples": 2, "max_new_tokens": 6}
    rows = [{"prompt": "ask one"}, {"prompt": "say " * 12}, {"prompt": "ask two"}]
    given = Given(base=base, prompts=data(tmp_path / "p.jsonl", rows), seed=0, max_length=40)
    stage = RLOO(reward=reward(tmp_path), **settings).policy(given).by  # type: ignore[union-attr]
    (counts,) = told(Bench(tmp_path / "bench").run(stage).out)["lengths"]
    assert (counts["data"], counts["rows"], counts["dropped"], counts["max_length"]) == ("prompts", 3, 1, 34)
    none = given.model_copy(update={"prompts": data(tmp_path / "q.jsonl", rows[1:2])})
    with pytest.raises(StageError, match="none of 1 prompts leaves room"):
        Bench(tmp_path / "other").run(RLOO(reward=reward(tmp_path), **settings).policy(none).by)  # type: ignore[union-attr]


@pytest.mark.parametrize("cut_responses", ["keep", "leave_out"])
def test_cut_samples_are_marked_and_have_no_end(base: Pretrained, tmp_path: Path, cut_responses: Any) -> None:
    bench = Bench(tmp_path / "bench")
    prompts = data(tmp_path / "p.jsonl", [{"prompt": f"ask {n}"} for n in "abcdefghijkl"] + [{"prompt": "say " * 40}])
    common: dict[str, Any] = {"policy": base, "prompts": prompts, "seed": 0, "cut_responses": cut_responses}
    decoding = Decoding(max_new_tokens=24)
    samples = BestOfSamples(reward=reward(tmp_path), n=2, round=0, decoding=decoding, **common)
    io = bench.run(samples)
    found = told(io.out)["written"]
    assert (found["prompts"], found["too_long"], found["responses"]) == (13, 1, 12)
    assert 0 < found["cut"] < 12
    rows = [json.loads(line) for line in (io.out / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    kept = 12 if cut_responses == "keep" else 12 - found["cut"]
    assert len(rows) == kept
    given = Given(base=base, seed=0)
    stage = fine_tuning_stage(TrainSFT, Optimisation(**QUICK), given, base, Made(by=samples))
    (counts,) = told(bench.run(stage).out)["lengths"]
    assert counts["unfinished"] == (found["cut"] if cut_responses == "keep" else 0)
    pairs = SamplePairs(decoding=decoding, **common)
    finishes = [
        {row["chosen_finish"], row["rejected_finish"]}
        for line in (bench.run(pairs).out / "rows.jsonl").read_text(encoding="utf-8").splitlines()
        for row in [json.loads(line)]
    ]
    assert finishes
    assert all("no_room" not in one for one in finishes)
    assert any("length" in one for one in finishes) == (cut_responses == "keep")
