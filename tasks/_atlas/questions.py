"""What can be asked in the world, which split may ask it, and how questions become prompts of the bench."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, product
from types import MappingProxyType
from typing import Literal

from bench.core.task import Prompt, user
from tasks._atlas import words
from tasks._atlas.draws import Draws
from tasks._atlas.knowledge import Entity, Split, knowledge

QuestionKind = Literal["fact", "biography", "benign", "harmful", "city"]
HeldOut = Literal["dev", "evaluation"]
KINDS: tuple[QuestionKind, ...] = ("fact", "biography", "benign", "harmful", "city")

MIX: Mapping[QuestionKind, float] = MappingProxyType(
    {"fact": 0.40, "biography": 0.25, "benign": 0.125, "harmful": 0.125, "city": 0.10}
)
"""The share of each kind in every mixed set of prompts. A design choice: close to a prototype's 3/8, 2/8, 2/8, 1/8,
with fewer cities, because only eight of them are held out for evaluation."""
RUNNING_MIX = tuple(accumulate(MIX[kind] for kind in KINDS))


@dataclass(frozen=True)
class AtlasQuestion:
    """One user turn and what is needed to judge an answer to it.

    ``asked`` is the attribute that a fact or city question is about, else None. ``truth`` holds every fact of the
    entity and is empty for requests. ``cluster`` is the entity, or the verb of a request: questions of one cluster are
    not independent. ``rarity`` is the entity's (0 for requests); ``exposure`` is its band, empty for requests.
    """

    id: str
    kind: QuestionKind
    text: str
    cluster: str
    asked: str | None
    truth: Mapping[str, str]
    rarity: float
    exposure: str

    def prompt(self) -> Prompt:
        """Return the question as a prompt of the bench; its facts carry what scores need."""
        facts = dict(self.truth)
        if self.asked is not None:
            facts["asked"] = self.asked
        if self.exposure:
            facts["exposure"] = self.exposure
        return Prompt(id=self.id, chat=user(self.text), cluster=self.cluster, kind=self.kind, facts=facts)


@dataclass(frozen=True)
class Catalogue:
    """Every question of the world; ``facts``, ``biographies`` and ``cities`` hold one group per entity, by rank."""

    facts: tuple[tuple[AtlasQuestion, ...], ...]
    biographies: tuple[tuple[AtlasQuestion, ...], ...]
    cities: tuple[tuple[AtlasQuestion, ...], ...]
    benign: tuple[AtlasQuestion, ...]
    harmful: tuple[AtlasQuestion, ...]


@cache
def catalogue(world_seed: int) -> Catalogue:
    """Return every question that can be asked in the world."""
    world = knowledge(world_seed)
    return Catalogue(
        facts=tuple(_about("fact", person, words.PERSON_QUESTIONS) for person in world.people),
        biographies=tuple(_biographies(person) for person in world.people),
        cities=tuple(_about("city", city, words.CITY_QUESTIONS) for city in world.cities),
        benign=_requests("benign", words.BENIGN_VERBS, words.OBJECTS),
        harmful=_requests("harmful", words.HARMFUL_VERBS, words.OBJECTS),
    )


@cache
def pool(world_seed: int, split: Split) -> Mapping[QuestionKind, tuple[AtlasQuestion, ...]]:
    """Return every question that a split may ask, by kind, in a shuffled order that the world seed fixes."""
    world = knowledge(world_seed)
    people = world.people_of(split)
    objects = world.objects_of(split)
    found: dict[QuestionKind, Iterable[tuple[AtlasQuestion, ...]]] = {
        "fact": [_about("fact", person, words.PERSON_QUESTIONS) for person in people],
        "biography": [_biographies(person) for person in people],
        "benign": [_requests("benign", words.BENIGN_VERBS, objects)],
        "harmful": [_requests("harmful", words.HARMFUL_VERBS, objects)],
        "city": [_about("city", city, words.CITY_QUESTIONS) for city in world.cities_of(split)],
    }
    return MappingProxyType(
        {
            kind: tuple(
                Draws("atlas", world_seed, "pool", split, kind).shuffled([one for group in groups for one in group])
            )
            for kind, groups in found.items()
        }
    )


@cache
def held_out(world_seed: int, split: HeldOut, size: int) -> tuple[AtlasQuestion, ...]:
    """Return ``size`` different questions of all kinds in the shares of MIX, interleaved: every beginning is mixed."""
    questions = pool(world_seed, split)
    placed: list[tuple[float, AtlasQuestion]] = []
    for kind in KINDS:
        wanted = round(MIX[kind] * size)
        placed.extend(((place + 0.5) / wanted, one) for place, one in enumerate(questions[kind][:wanted]))
    placed.sort(key=lambda item: (item[0], item[1].id))
    return tuple(one for _, one in placed)


def training_question(world_seed: int, draws: Draws) -> AtlasQuestion:
    """Return one question of the train split, drawn with replacement in the shares of MIX."""
    return draws.pick(pool(world_seed, "train")[draws.weighted(KINDS, RUNNING_MIX)])


def _about(kind: QuestionKind, entity: Entity, forms: Mapping[str, Sequence[str]]) -> tuple[AtlasQuestion, ...]:
    """Return every question about one attribute of an entity, in every wording."""
    return tuple(
        _entity_question(kind, entity, f"{attribute}-{variant}", form, attribute)
        for attribute, wordings in forms.items()
        for variant, form in enumerate(wordings)
    )


def _biographies(person: Entity) -> tuple[AtlasQuestion, ...]:
    return tuple(
        _entity_question("biography", person, str(variant), form, None)
        for variant, form in enumerate(words.BIOGRAPHY_REQUESTS)
    )


def _entity_question(kind: QuestionKind, entity: Entity, part: str, form: str, asked: str | None) -> AtlasQuestion:
    slug = entity.name.replace(" ", "-").lower()
    return AtlasQuestion(
        id=f"{kind}-{slug}-{part}",
        kind=kind,
        text=form.format(entity.name),
        cluster=slug,
        asked=asked,
        truth=entity.facts,
        rarity=entity.rarity,
        exposure=entity.exposure,
    )


def _requests(kind: QuestionKind, verbs: Sequence[str], objects: Sequence[str]) -> tuple[AtlasQuestion, ...]:
    return tuple(
        AtlasQuestion(
            id=f"{kind}-{verb}-{item}-{variant}",
            kind=kind,
            text=form.format(verb, item),
            cluster=f"{kind}-{verb}",
            asked=None,
            truth=MappingProxyType({}),
            rarity=0.0,
            exposure="",
        )
        for verb, item, (variant, form) in product(verbs, objects, enumerate(words.ACTION_REQUESTS))
    )
