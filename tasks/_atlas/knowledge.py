"""Fictional people and cities, generated from a world seed, with a Zipf-like exposure curve."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, product
from types import MappingProxyType
from typing import Literal

from tasks._atlas import words
from tasks._atlas.draws import Draws

Split = Literal["train", "dev", "evaluation"]
Exposure = Literal["frequent", "middle", "rare"]

PEOPLE = 200
CITIES = 48
RIVERS = 16
REGIONS = 10

EXPOSURE_SHIFT = 10.0
EXPOSURE_POWER = 1.5
"""p(rank) ~ 1 / (rank + 10)^1.5: a Zipf-Mandelbrot law. Shift and power were chosen in a prototype so that the base
model knows nearly all facts of the most exposed fifth of the people and about a fifth of those of the least exposed."""

PEOPLE_BLOCK: tuple[Split, ...] = ("train",) * 5 + ("dev",) * 2 + ("evaluation",) * 3
CITY_BLOCK: tuple[Split, ...] = ("train",) * 4 + ("dev", "evaluation")
OBJECT_BLOCK: tuple[Split, ...] = ("train", "train", "dev", "evaluation")
"""How each block of neighbouring exposure ranks is divided, so that every split has all exposures."""

FREQUENT_BELOW = 0.2
RARE_FROM = 0.6


@dataclass(frozen=True)
class Entity:
    """A person or a city: its name, its facts, how often it is written about, and the one split that may ask about it.

    ``rarity`` is rank / (count - 1): 0 for the most exposed entity, 1 for the least.
    """

    name: str
    facts: Mapping[str, str]
    rarity: float
    split: Split

    @property
    def exposure(self) -> Exposure:
        """``frequent`` for the most exposed fifth, ``rare`` for the least exposed two fifths, else ``middle``."""
        if self.rarity < FREQUENT_BELOW:
            return "frequent"
        return "rare" if self.rarity >= RARE_FROM else "middle"


@dataclass(frozen=True)
class AtlasKnowledge:
    """All that is true in one world. ``people_weights`` and ``city_weights`` are running sums of exposure."""

    people: tuple[Entity, ...]
    cities: tuple[Entity, ...]
    objects: Mapping[str, Split]
    values: Mapping[str, tuple[str, ...]]
    people_weights: tuple[float, ...]
    city_weights: tuple[float, ...]

    def people_of(self, split: Split) -> tuple[Entity, ...]:
        """Return the people that a split may ask about, most exposed first."""
        return tuple(person for person in self.people if person.split == split)

    def cities_of(self, split: Split) -> tuple[Entity, ...]:
        """Return the cities that a split may ask about, most exposed first."""
        return tuple(city for city in self.cities if city.split == split)

    def objects_of(self, split: Split) -> tuple[str, ...]:
        """Return the objects that a split's requests may name."""
        return tuple(item for item, owner in self.objects.items() if owner == split)


@cache
def knowledge(world_seed: int) -> AtlasKnowledge:
    """Return the world of a seed; the same seed gives the same world in any process."""
    names = _names(Draws("atlas", world_seed, "names"))
    city_names = tuple(next(names["city"]) for _ in range(CITIES))
    city_splits = _splits(CITIES, CITY_BLOCK, "cities", world_seed)
    # People live in cities of the train split only, so that a held-out city is in no answer about a person.
    homes = tuple(name for name, split in zip(city_names, city_splits, strict=True) if split == "train")
    values = {
        "born": homes,
        "lives": homes,
        "job": words.JOBS,
        "subject": words.SUBJECTS,
        "instrument": words.INSTRUMENTS,
        "year": words.YEARS,
        "river": tuple(next(names["river"]) for _ in range(RIVERS)),
        "region": tuple(next(names["region"]) for _ in range(REGIONS)),
        "product": words.PRODUCTS,
    }
    first = Draws("atlas", world_seed, "first names")
    people_names = [f"{first.pick(words.FIRST_NAMES)} {next(names['surname'])}" for _ in range(PEOPLE)]
    people_splits = _splits(PEOPLE, PEOPLE_BLOCK, "people", world_seed)
    objects = dict(zip(words.OBJECTS, _splits(len(words.OBJECTS), OBJECT_BLOCK, "objects", world_seed), strict=True))
    facts = Draws("atlas", world_seed, "facts")
    return AtlasKnowledge(
        people=_entities(people_names, people_splits, _facts(PEOPLE, words.PERSON_CLAIMS, values, facts)),
        cities=_entities(city_names, city_splits, _facts(CITIES, words.CITY_CLAIMS, values, facts)),
        objects=MappingProxyType(objects),
        values=MappingProxyType(values),
        people_weights=_running_exposure(PEOPLE),
        city_weights=_running_exposure(CITIES),
    )


@cache
def held_out_words(world_seed: int) -> frozenset[str]:
    """Return the words that name what only dev or evaluation may ask about: surnames, cities and objects."""
    world = knowledge(world_seed)
    people = {person.name.split()[-1] for person in world.people if person.split != "train"}
    cities = {city.name for city in world.cities if city.split != "train"}
    return frozenset(people | cities | {item for item, split in world.objects.items() if split != "train"})


def _facts(
    count: int, attributes: Iterable[str], values: Mapping[str, tuple[str, ...]], draws: Draws
) -> list[dict[str, str]]:
    return [{attribute: draws.pick(values[attribute]) for attribute in attributes} for _ in range(count)]


def _entities(names: Sequence[str], splits: Sequence[Split], facts: Sequence[Mapping[str, str]]) -> tuple[Entity, ...]:
    return tuple(
        Entity(name=name, facts=MappingProxyType(dict(own)), rarity=rank / (len(names) - 1), split=split)
        for rank, (name, split, own) in enumerate(zip(names, splits, facts, strict=True))
    )


def _splits(count: int, block: tuple[Split, ...], label: str, world_seed: int) -> list[Split]:
    """Return a split per rank: each block of neighbouring ranks holds every split in the same numbers."""
    draws = Draws("atlas", world_seed, "splits", label)
    found: list[Split] = []
    while len(found) < count:
        found.extend(draws.shuffled(block))
    return found[:count]


def _running_exposure(count: int) -> tuple[float, ...]:
    return tuple(accumulate((rank + EXPOSURE_SHIFT) ** -EXPOSURE_POWER for rank in range(count)))


def _names(draws: Draws) -> dict[str, Iterator[str]]:
    """Return endless enough streams of names, one per kind; no name occurs twice, and kinds differ in their endings."""
    tails = {
        "surname": words.SURNAME_TAILS,
        "city": words.CITY_TAILS,
        "river": words.RIVER_TAILS,
        "region": words.REGION_TAILS,
    }
    return {
        kind: iter(draws.shuffled(["".join(parts) for parts in product(words.NAME_HEADS, words.NAME_MIDDLES, endings)]))
        for kind, endings in tails.items()
    }
