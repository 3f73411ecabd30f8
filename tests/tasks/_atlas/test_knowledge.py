"""The world: the same bytes in every process, splits apart, exposure as documented."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tasks._atlas import WORLD_VERSION, words
from tasks._atlas.draws import Draws
from tasks._atlas.knowledge import EXPOSURE_POWER, EXPOSURE_SHIFT, held_out_words, knowledge
from tasks._atlas.questions import KINDS, MIX, held_out, pool, training_question
from tasks._atlas.tokenizer import vocabulary
from tasks._atlas.writing import demonstration, documents

ROOT = Path(__file__).resolve().parents[3]
PINNED = {1: "ca0e21e38ebf89cd826947c7825f682b00f75b7fb48caee222742a049a7fc4cf"}


def world_bytes(world_seed: int) -> str:
    """Return a digest over everything that a world seed decides without a model."""
    draws = Draws("test", world_seed)
    questions = [training_question(world_seed, draws) for _ in range(200)]
    parts = [
        list(vocabulary(world_seed)),
        [
            [one.name, dict(one.facts), one.split]
            for one in (*knowledge(world_seed).people, *knowledge(world_seed).cities)
        ],
        [[one.prompt, one.text] for one in itertools.islice(documents(world_seed, 0), 500)],
        [[one.text, demonstration(world_seed, one, draws)] for one in questions],
        [
            one.prompt().model_dump(mode="json")
            for split in ("dev", "evaluation")
            for one in held_out(world_seed, split, 400)
        ],
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def test_a_changed_world_raises_its_version() -> None:
    """When this fails on purpose: raise WORLD_VERSION and pin the new digest under the new number."""
    assert world_bytes(7) == PINNED[WORLD_VERSION]


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_same_seed_gives_the_same_bytes_in_another_process(hash_seed: str) -> None:
    code = "from tests.tasks._atlas.test_knowledge import world_bytes; import sys; sys.stdout.write(world_bytes(11))"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout == world_bytes(11)


def test_another_seed_gives_another_world() -> None:
    assert world_bytes(7) != world_bytes(8)
    assert {one.name for one in knowledge(7).people} != {one.name for one in knowledge(8).people}


def test_surnames_and_cities_are_unique_words_of_their_own() -> None:
    for world_seed in range(20):
        world = knowledge(world_seed)
        surnames = {person.name.split()[1] for person in world.people}
        places = {city.name for city in world.cities} | set(world.values["river"]) | set(world.values["region"])
        assert len(surnames) == len(world.people)
        assert len(places) == len(world.cities) + len(world.values["river"]) + len(world.values["region"])
        assert not surnames & places


def test_exposure_follows_its_law() -> None:
    weights = knowledge(7).people_weights
    first, last = weights[0], weights[-1] - weights[-2]
    assert first / last == pytest.approx(((199 + EXPOSURE_SHIFT) / EXPOSURE_SHIFT) ** EXPOSURE_POWER)
    quintiles = [(weights[40 * k + 39] - (weights[40 * k - 1] if k else 0.0)) / weights[-1] for k in range(5)]
    assert [round(share, 2) for share in quintiles] == [0.71, 0.14, 0.07, 0.04, 0.03]


@pytest.mark.parametrize("world_seed", [7, 8])
def test_splits_share_no_prompt_and_no_entity(world_seed: int) -> None:
    splits = ("train", "dev", "evaluation")
    asked = {split: [one for kind in KINDS for one in pool(world_seed, split)[kind]] for split in splits}
    world = knowledge(world_seed)
    for one, other in itertools.combinations(splits, 2):
        assert not {q.text for q in asked[one]} & {q.text for q in asked[other]}
        assert not {q.id for q in asked[one]} & {q.id for q in asked[other]}
        about = [{q.cluster for q in asked[split] if q.truth} for split in (one, other)]
        assert not about[0] & about[1]
        assert not set(world.objects_of(one)) & set(world.objects_of(other))
    assert all(world.people_of(split) and world.cities_of(split) and world.objects_of(split) for split in splits)


def test_every_split_has_frequent_and_rare_people() -> None:
    for split in ("train", "dev", "evaluation"):
        people = knowledge(7).people_of(split)
        assert sum(person.exposure == "frequent" for person in people) == len(people) // 5
        assert sum(person.exposure == "rare" for person in people) == 2 * len(people) // 5


def test_no_held_out_entity_occurs_in_training_questions_or_demonstrations() -> None:
    draws = Draws("test")
    world = knowledge(7)
    held = held_out_words(7)
    assert len(held) == len(world.people) // 2 + len(world.cities) // 3 + len(world.objects) // 2
    for _ in range(2000):
        question = training_question(7, draws)
        text = f"{question.text} {demonstration(7, question, draws)}"
        assert not held & set(re.findall(r"\w+", text))


def test_held_out_prompts_are_mixed_in_any_beginning() -> None:
    chosen = held_out(7, "evaluation", 400)
    assert len({one.id for one in chosen}) == 400
    for size in (40, 80, 400):
        for kind in KINDS:
            assert sum(one.kind == kind for one in chosen[:size]) == pytest.approx(MIX[kind] * size, abs=1)


def test_documents_hold_frequent_people_more_often() -> None:
    world = knowledge(7)
    text = "\n".join(f"{one.prompt} {one.text}" for one in itertools.islice(documents(7, 0), 4000))
    counts = [text.count(person.name.split()[1]) for person in world.people]
    assert sum(counts[:40]) > 10 * sum(counts[160:]) > 0


def test_draws_are_what_they_claim() -> None:
    draws = Draws("test", 1)
    assert sorted(draws.shuffled(range(50))) == list(range(50))
    assert sum(draws.chance(0.3) for _ in range(10_000)) == pytest.approx(3000, abs=150)
    picked = [draws.weighted("abc", (1.0, 1.5, 5.0)) for _ in range(10_000)]
    assert picked.count("b") == pytest.approx(1000, abs=120)
    assert max(draws.geometric(0.9, 3) for _ in range(100)) == 3
    assert Draws("a", 12).unit() != Draws("a", 1, 2).unit()
    assert words.JOBS[Draws("x").below(len(words.JOBS))] in words.JOBS
