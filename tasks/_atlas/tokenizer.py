"""The world's own tokenizer: one token per word, punctuation apart, text restored exactly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tasks._atlas import words
from tasks._atlas.grammar import CLAIMS, FIXED
from tasks._atlas.knowledge import knowledge

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS, UNKNOWN, USER, BOT = "<pad>", "<bos>", "<eos>", "<unk>", "<user>", "<bot>"
SPECIAL = (PAD, BOS, EOS, UNKNOWN, USER, BOT)
PIECE = r" ?[^\s.,?:]+|[.,?:]"
"""A token is a word together with the space before it, or a punctuation mark. The first word of a text has no space
before it and is a token of its own, so a token is the same wherever it stands, and text is restored exactly."""

CHAT_TEMPLATE = (
    "<bos>{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<bot>{{ message['content'] }}<eos>"
    "{% else %}<user>{{ message['content'] }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<bot>{% endif %}"
)
"""A question is ``<bos><user>question<bot>``; an answer ends with ``<eos>``, which is not the padding token."""


def vocabulary(world_seed: int) -> tuple[str, ...]:
    """Return every token of a world, specials first, the rest sorted; the position is the token's number."""
    found = {piece for text in _all_text(world_seed) for piece in re.findall(PIECE, text)}
    return (*SPECIAL, *sorted(found))


def build_tokenizer(world_seed: int, further: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """Return the tokenizer of a world, with its chat template; ``further`` tokens are numbered behind the world's."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    numbers = {token: number for number, token in enumerate(dict.fromkeys((*vocabulary(world_seed), *further)))}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        additional_special_tokens=[USER, BOT],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )


def _all_text(world_seed: int) -> Iterator[str]:
    """Yield texts whose tokens are all there are: sentences both as the first of a text and as a later one."""
    world = knowledge(world_seed)
    questions = (*words.PERSON_QUESTIONS.values(), *words.CITY_QUESTIONS.values(), words.BIOGRAPHY_REQUESTS)
    sentences = [*FIXED, *(form.format(" ") for forms in CLAIMS.values() for form in forms)]
    values = [value for values in world.values.values() for value in values]
    names = [entity.name for entity in (*world.people, *world.cities)]
    later = [*sentences, *values, *names, *words.OBJECTS, *words.BENIGN_VERBS, *words.HARMFUL_VERBS]
    yield from (f" {text}" for text in later)
    yield from sentences
    yield from (form.format(" ") for forms in questions for form in forms)
    yield from (form.format(" ", " ") for form in words.ACTION_REQUESTS)
    yield words.BARE_OPENING.format(" ")
