"""The world's stages, run small: the same bytes again, models that learn, data that keep their promises."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.core.data import Made
from bench.core.datasets import read_prompts
from bench.core.errors import BenchError
from bench.core.files import digest_of_folder
from bench.core.frozen import decode, encode
from bench.core.judge import Response
from bench.core.policy import Built, Decoding
from bench.evaluation.judges.gold import Gold
from methods._train.settings import Optimisation
from tasks._atlas.annotator import Annotator
from tasks._atlas.fields import Shape
from tasks._atlas.knowledge import held_out_words
from tasks._atlas.questions import pool
from tasks._atlas.stages import AtlasDemonstrations, AtlasPreferences, AtlasTrainingPrompts, PretrainAtlas
from tasks.atlas import DEFAULT_ROWS, LABELLERS, SIZES, Atlas
from tasks.atlas_prompts import AtlasPrompts
from tests.long import with_a_shorter_sister
from tests.methods.tiny import Bench, log

ROOT = Path(__file__).resolve().parents[3]
FAST = Optimisation(lr=8e-3, schedule="linear", epochs=1, batch_size=4, betas=(0.9, 0.98))
TINY = PretrainAtlas(world_seed=7, shape=Shape(width=32, layers=1, heads=2, inner=64), steps=60, optimisation=FAST)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("atlas"))


def pairs_of(rows: int, **annotator: float) -> AtlasPreferences:
    return AtlasPreferences(
        world_seed=7,
        sampler=Built(by=TINY),
        annotator=Annotator(**annotator),
        decoding=Decoding(max_new_tokens=24),
        rows=rows,
    )


def test_pretraining_learns_and_repeats_to_the_byte(bench: Bench, tmp_path: Path) -> None:
    first = bench.payload(TINY)
    losses = [row["loss"] for row in log(first)]
    assert len(losses) == 60
    assert sum(losses[-5:]) / 5 < 0.7 * losses[0]
    again = Bench(tmp_path).payload(TINY)
    assert digest_of_folder(first / "policy") == digest_of_folder(again / "policy")
    assert bench.ios[TINY.key].meter.trained_tokens == 60 * 4 * 128


def test_seed_and_world_change_the_start(bench: Bench) -> None:
    from tasks._atlas.pretraining import new_model

    weights = [
        new_model(TINY.model_copy(update={"seed": seed}), 50).get_input_embeddings().weight for seed in (0, 0, 1)
    ]
    assert weights[0].equal(weights[1])
    assert not weights[0].equal(weights[2])


def test_documents_do_not_see_each_other() -> None:
    import torch

    from tasks._atlas.pretraining import causal_loss, new_model

    model = new_model(TINY, 50)
    row = torch.tensor([[1, 9, 10, 11, 2, 1, 20, 21, 22, 2]])
    other = torch.tensor([[1, 30, 31, 32, 2, 1, 20, 21, 22, 2]])
    alone = torch.tensor([[1, 20, 21, 22, 2]])
    with torch.no_grad():
        whole = [float(causal_loss(model, ids, 1).total) for ids in (row, other)]
        places = torch.tensor([[0, 1, 2, 3, 4, 0, 1, 2, 3, 4]])
        seen = model(other, position_ids=places, use_cache=False).logits[:, 5:]
        assert torch.allclose(seen, model(alone, use_cache=False).logits, atol=1e-5)
    assert whole[0] != whole[1]


def test_demonstrations_and_prompts_have_the_promised_rows(bench: Bench) -> None:
    demonstrations = rows_of(bench.payload(AtlasDemonstrations(world_seed=7, rows=50)))
    prompts = rows_of(bench.payload(AtlasTrainingPrompts(world_seed=7, rows=30)))
    assert [len(demonstrations), len(prompts)] == [50, 30]
    assert set(demonstrations[0]) == {"id", "prompt", "response", "kind"}
    assert set(prompts[0]) == {"id", "prompt", "kind", "facts"}
    assert len({row["id"] for row in demonstrations + prompts}) == 80


def test_preferences_are_exactly_as_many_and_the_same_again(bench: Bench, tmp_path: Path) -> None:
    stage = pairs_of(40)
    rows = rows_of(bench.payload(stage))
    assert len(rows) == 40
    assert len({row["id"] for row in rows}) == 40
    assert all(row["chosen"] != row["rejected"] and row["chosen_gold"] != row["rejected_gold"] for row in rows)
    assert bench.ios[stage.key].meter.labels == 40
    assert bench.ios[stage.key].meter.generated_tokens > 0
    assert rows_of(Bench(tmp_path).payload(stage)) == rows


def test_gold_rates_answers_to_prompts_and_pairs_that_were_written_to_disk(bench: Bench) -> None:
    task = AtlasPrompts()
    questions = {one.text: one.prompt() for kind in pool(7, "train").values() for one in kind}
    for stage in (AtlasTrainingPrompts(world_seed=7, rows=60), pairs_of(40)):
        prompts = read_prompts(Made(by=stage), bench.io("read"))
        asked = [questions[prompt.text] for prompt in prompts]
        assert [(one.kind, one.facts) for one in prompts] == [(one.kind, one.facts) for one in asked]
    rows = rows_of(bench.payload(stage))
    for side in ("chosen", "rejected"):
        responses = [Response(prompt=one, text=row[side]) for one, row in zip(prompts, rows, strict=True)]
        ratings = Gold().rate(task, responses, bench.io("rated"))
        assert [one.value for one in ratings] == [row[f"{side}_gold"] for row in rows]


def test_preferences_name_no_held_out_entity(bench: Bench) -> None:
    held = held_out_words(7)
    for row in rows_of(bench.payload(pairs_of(40))):
        assert not held & set(re.findall(r"\w+", f"{row['prompt']} {row['chosen']} {row['rejected']}"))


def test_the_annotators_knobs_reach_the_stage() -> None:
    usual = Atlas().data("preferences", 10)
    for knob in ({"beta": 1.0}, {"label_noise": 0.2}, {"length_bias": 1.0}, {"world_seed": 8}):
        assert Atlas.model_validate(knob).data("preferences", 10).by.key != usual.by.key  # type: ignore[union-attr]
    biased = Atlas(length_bias=1.0)
    assert biased.policy("base") == Atlas().policy("base")
    assert biased.data("demonstrations", 10) == Atlas().data("demonstrations", 10)


def test_the_world_offers_what_it_says() -> None:
    world = Atlas()
    for size in world.sizes():
        spec = world.policy(size)
        assert isinstance(spec, Built)
        assert decode(json.loads(json.dumps(encode(spec.by)))).key == spec.by.key
    assert len({world.policy(size).by.key for size in world.sizes()}) == len(SIZES) + len(LABELLERS)  # type: ignore[union-attr]
    for split in world.splits():
        stage = world.data(split, None).by  # type: ignore[union-attr]
        assert stage.rows == DEFAULT_ROWS[split]  # type: ignore[attr-defined]
        assert world.data(split, 12).by.rows == 12  # type: ignore[union-attr, attr-defined]
        assert decode(json.loads(json.dumps(encode(stage)))).key == stage.key


@pytest.mark.parametrize("ask", [lambda: Atlas().policy("bas"), lambda: Atlas().data("preference", None)])
def test_unknown_sizes_and_splits_are_refused_with_a_hint(ask: Any) -> None:
    with pytest.raises(BenchError, match="Did you mean"):
        ask()


def test_planning_the_world_loads_no_torch() -> None:
    code = (
        "import sys, tasks.atlas, tasks.atlas_prompts, tasks.atlas_questions, tasks.atlas_biographies\n"
        "import tasks.atlas_requests\n"
        "w = tasks.atlas.Atlas(); w.policy('base').by.key; w.data('preferences', 5).by.key\n"
        "tasks.atlas_prompts.AtlasPrompts().prompts()\n"
        "sys.exit(int('torch' in sys.modules or 'transformers' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@with_a_shorter_sister
@pytest.mark.slow
def test_a_short_pretraining_knows_frequent_facts_better_than_rare_ones(bench: Bench) -> None:
    from bench.models.load import load_policy
    from tasks.atlas_questions import AtlasQuestions

    small = Atlas().policy("small")
    assert isinstance(small, Built)
    spec = Built(by=small.by.model_copy(update={"steps": 450}))
    policy = load_policy(spec, bench.io("asked"))
    task = AtlasQuestions()
    prompts = task.prompts()
    found = policy.generate([one.chat for one in prompts], task.decoding(), seeds=list(range(len(prompts))))
    values = [task.score(prompt, one.text) for prompt, one in zip(prompts, found, strict=True)]

    def share(metric: str) -> float:
        defined = [value[metric] for value in values if value[metric] is not None]
        return sum(defined) / len(defined)  # type: ignore[arg-type]

    assert share("correct_frequent") > share("correct_rare") + 0.1
    assert share("unreadable") < 0.05
