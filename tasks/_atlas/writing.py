"""Writers of the world: how a person of some style answers a question, and the documents a base model learns from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from tasks._atlas import words
from tasks._atlas.draws import Draws
from tasks._atlas.grammar import Statement, claim_sentence
from tasks._atlas.knowledge import AtlasKnowledge, Entity, knowledge
from tasks._atlas.questions import AtlasQuestion, Catalogue, QuestionKind, catalogue


@dataclass(frozen=True)
class Style:
    """How a writer writes; every number is a probability.

    ``filler`` and ``extra`` are the chances of one more filler, or one more fact than was asked for. A fact is hedged
    with ``hedge + hedge_rarity * rarity``, and stated wrongly with ``wrong``.
    """

    polite: float
    rude: float
    filler: float
    extra: float
    hedge: float
    hedge_rarity: float
    wrong: float
    refuse_harmful: float
    refuse_benign: float


BASE_STYLE = Style(
    polite=0.25,
    rude=0.30,
    filler=0.35,
    extra=0.30,
    hedge=0.12,
    hedge_rarity=0.20,
    wrong=0.05,
    refuse_harmful=0.60,
    refuse_benign=0.05,
)
DEMONSTRATION_STYLE = Style(
    polite=0.50,
    rude=0.10,
    filler=0.25,
    extra=0.30,
    hedge=0.10,
    hedge_rarity=0.20,
    wrong=0.05,
    refuse_harmful=0.70,
    refuse_benign=0.05,
)
"""Both styles are a prototype's, which left room above demonstrations for preferences to teach something."""

MOST_FILLERS = 4
BIOGRAPHY_CLAIMS = (2, 3, 4, 5)
BARE_SHARE = 0.30
DOCUMENT_MIX: Mapping[QuestionKind, float] = {
    "fact": 0.375,
    "biography": 0.25,
    "benign": 0.125,
    "harmful": 0.125,
    "city": 0.125,
}
_DOCUMENT_KINDS = tuple(DOCUMENT_MIX)
_DOCUMENT_RUNNING = tuple(accumulate(DOCUMENT_MIX.values()))


@dataclass(frozen=True)
class PretrainingText:
    """One piece of pretraining text: a statement about an entity (``prompt`` is None), or a question and its answer."""

    prompt: str | None
    text: str


class Writer:
    """Writes in one style about one world; every word depends on the stream of draws it is given."""

    def __init__(self, world: AtlasKnowledge, style: Style, draws: Draws) -> None:
        self._world = world
        self._style = style
        self._draws = draws

    def answer(self, question: AtlasQuestion) -> str:
        """Return an answer to the question."""
        draws, style = self._draws, self._style
        body = self._body(question)
        for _ in range(draws.geometric(style.filler, MOST_FILLERS)):
            body.insert(draws.below(len(body) + 1), draws.pick(words.FILLERS))
        if draws.chance(style.rude):
            body.insert(draws.pick((0, len(body))), draws.pick(words.RUDE))
        if draws.chance(style.polite):
            if draws.chance(0.5):
                body.insert(0, draws.pick(words.OPENERS))
            else:
                body.append(draws.pick(words.CLOSERS))
        return " ".join(body)

    def statements(self, entity: Entity, count: int) -> list[str]:
        """Return ``count`` claims about different attributes of an entity, some of them wrong."""
        attributes = self._draws.shuffled(tuple(entity.facts))[:count]
        return [self._claim(attribute, entity.facts[attribute]) for attribute in attributes]

    def _body(self, question: AtlasQuestion) -> list[str]:
        if question.kind == "benign":
            return self._help(self._style.refuse_benign)
        if question.kind == "harmful":
            return self._help(self._style.refuse_harmful)
        if self._draws.chance(self._style.hedge + self._style.hedge_rarity * question.rarity):
            return [self._draws.pick(words.HEDGES)]
        if question.asked is None:
            attributes = self._draws.shuffled(tuple(question.truth))[: self._draws.pick(BIOGRAPHY_CLAIMS)]
        else:
            attributes = [question.asked]
            if self._draws.chance(self._style.extra):
                attributes.append(self._draws.pick([name for name in question.truth if name != question.asked]))
        return [self._claim(attribute, question.truth[attribute]) for attribute in attributes]

    def _help(self, refuse: float) -> list[str]:
        if self._draws.chance(refuse):
            return [self._draws.pick(words.REFUSALS)]
        steps = 1 + self._draws.below(len(words.STEPS))
        return [self._draws.pick(variants) for variants in words.STEPS[:steps]]

    def _claim(self, attribute: str, truth: str) -> str:
        wrong = self._draws.chance(self._style.wrong)
        value = self._draws.pick(self._world.values[attribute]) if wrong else truth
        return claim_sentence(Statement(attribute, value), self._draws.below(2))


def documents(world_seed: int, stream_seed: int) -> Iterator[PretrainingText]:
    """Yield endless pretraining documents: bare statements, and questions answered in BASE_STYLE."""
    world, questions = knowledge(world_seed), catalogue(world_seed)
    draws = Draws("atlas", world_seed, "documents", stream_seed)
    writer = Writer(world, BASE_STYLE, draws)
    while True:
        if draws.chance(BARE_SHARE):
            entity = _any_entity(world, draws)
            claims = writer.statements(entity, 1 + draws.below(4))
            yield PretrainingText(None, " ".join([words.BARE_OPENING.format(entity.name), *claims]))
        else:
            question = _any_question(world, questions, draws)
            yield PretrainingText(question.text, writer.answer(question))


def demonstration(world_seed: int, question: AtlasQuestion, draws: Draws) -> str:
    """Return how a demonstrator would answer a question."""
    return Writer(knowledge(world_seed), DEMONSTRATION_STYLE, draws).answer(question)


def _any_entity(world: AtlasKnowledge, draws: Draws) -> Entity:
    if draws.chance(DOCUMENT_MIX["city"]):
        return draws.weighted(world.cities, world.city_weights)
    return draws.weighted(world.people, world.people_weights)


def _any_question(world: AtlasKnowledge, questions: Catalogue, draws: Draws) -> AtlasQuestion:
    """Return a question of the documents' mix, about an entity drawn in proportion to its exposure."""
    kind = draws.weighted(_DOCUMENT_KINDS, _DOCUMENT_RUNNING)
    if kind == "benign":
        return draws.pick(questions.benign)
    if kind == "harmful":
        return draws.pick(questions.harmful)
    if kind == "city":
        return draws.pick(draws.weighted(questions.cities, world.city_weights))
    groups = questions.facts if kind == "fact" else questions.biographies
    return draws.pick(draws.weighted(groups, world.people_weights))
