"""The texts that a labeller reads: a prompt file, and how a pair or a response is laid out in it.

The blocks are those of RLAIF (Lee et al. 2023, arXiv:2309.00267, section 2.1): a preamble, exemplars, the sample to
label, and an ending that the labeller continues with its answer. ``docs/labeller.md`` describes the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from bench.core.errors import DataError, did_you_mean
from bench.core.frozen import Frozen, digest_of_file
from bench.core.policy import Chat, Message
from bench.evaluation.fenced import fenced, marks_of

FOLDER = Path(__file__).resolve().parent / "prompts"
PROMPT, FIRST, SECOND, RESPONSE, PRINCIPLE = "prompt", "first", "second", "response", "principle"
DEFAULT = "helpful"
_PLACE = re.compile(r"\{(prompt|first|second|response|principle)\}")
_Text = Annotated[str, Field(min_length=1)]


class Form(Frozen):
    """How one kind of question is asked; the blocks stand in this order, separated by ``separator``.

    ``sample`` is the block with the places to fill; ``{principle}`` may be one, where the labeller is given principles
    to judge by. ``rationale`` asks for a chain of thought (None: this form knows none). ``ending`` is how the answer
    opens, and ``answers`` are what may follow. ``inverted``: the question asks for the opposite of what is wanted
    (which response is more harmful), so the labels are reversed.
    """

    preamble: str = ""
    exemplars: tuple[_Text, ...] = ()
    sample: str
    rationale: _Text | None = None
    ending: str
    answers: Annotated[tuple[_Text, ...], Field(min_length=2)]
    inverted: bool = False
    separator: str = "\n\n"

    PLACES: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        found = set(_PLACE.findall(self.sample))
        if found - {PRINCIPLE} != self.PLACES:
            wanted = ", ".join(f"{{{name}}}" for name in sorted(self.PLACES))
            raise ValueError(f"sample must hold {wanted}, perhaps {{principle}}, and no other place to fill")
        if len(set(self.answers)) < len(self.answers):
            raise ValueError("two of the answers are the same")
        return self

    @property
    def asks_by_principle(self) -> bool:
        """Tell whether the sample has a place for a principle."""
        return PRINCIPLE in _PLACE.findall(self.sample)

    @property
    def has_lines(self) -> bool:
        """Whether lines part the question. Without any (``atlas``) its labeller reads no other marks than words."""
        return "\n" in f"{self.sample}{self.separator}"

    @property
    def marks(self) -> tuple[str, ...]:
        """What parts the question, and how an answer begins."""
        return marks_of(self.sample, self.ending)

    def question(self, texts: Mapping[str, str], *, reasoned: bool) -> Chat:
        """Return what the labeller is asked, with the texts at their places; ``reasoned`` asks for a rationale.

        Responses that hold what parts the question stand within a fence (``bench.evaluation.fenced``).
        """
        shown, fence = fenced(texts, (FIRST, SECOND, RESPONSE), self.marks) if self.has_lines else (texts, "")
        sample = _PLACE.sub(lambda place: shown[place[1]], self.sample)
        asked = (self.rationale or "",) if reasoned else ()
        blocks = [block for block in (self.preamble, *self.exemplars, fence, sample, *asked) if block]
        return (Message(role="user", content=self.separator.join(blocks)),)

    def opening(self, rationale: str | None, *, plain: bool) -> str:
        """Return how the labeller's turn begins, what it has reasoned included.

        ``plain``: nothing of a chat template parts the turns, so the separator does.
        """
        if rationale is not None:
            return f"{rationale}{self.separator}{self.ending}"
        return f"{self.separator}{self.ending}" if plain else self.ending

    def reasoning(self, written: str) -> str:
        """Return the rationale in what the labeller wrote: all before its own answer, if it went on to give one."""
        ending = self.ending.strip()
        return (written.partition(ending)[0] if ending else written).rstrip()


class CompareForm(Form):
    """Which of two responses is better: the first answer names the first one."""

    answers: Annotated[tuple[_Text, ...], Field(min_length=2, max_length=2)]

    PLACES: ClassVar[frozenset[str]] = frozenset({PROMPT, FIRST, SECOND})


class RateForm(Form):
    """How good one response is: the answers go from the worst to the best, in equal steps."""

    PLACES: ClassVar[frozenset[str]] = frozenset({PROMPT, RESPONSE})


class LabellerPrompt(Frozen):
    """A prompt file: how pairs are compared and how a single response is rated, each where the file has it."""

    compare: CompareForm | None = None
    rate: RateForm | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if self.compare is None and self.rate is None:
            raise ValueError("needs `compare`, `rate` or both")
        return self


def with_its_prompt(fields: Any, default: str = DEFAULT) -> Any:
    """Return a judge's fields with the prompt that is read where none is named, and a shipped one's digest.

    Raises ValueError, for a validator to report, where two prompt files are named or an unknown one.
    """
    if not isinstance(fields, Mapping):
        return fields
    if fields.get("path") is not None:
        if fields.get("prompt") is not None:
            raise ValueError("prompt and path both name a prompt file. Leave one of them out.")
        return fields
    name = default if fields.get("prompt") is None else fields["prompt"]
    if not isinstance(name, str):
        return fields
    try:
        file = shipped_file(name)
    except DataError as error:
        raise ValueError(str(error)) from error
    given = fields.get("digest")
    return {**fields, "prompt": name, "digest": digest_of_file(file) if given is None else given}


def shipped() -> list[str]:
    """Return the names of the prompt files that come with this program."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def shipped_file(name: str) -> Path:
    """Return the prompt file of that name. Raises DataError, with near matches, when there is none."""
    if name not in shipped():
        raise DataError(
            f"unknown labeller prompt '{name}'. {did_you_mean(name, shipped())}. "
            "For a file of your own write `path: ./file.yaml` instead of `prompt`."
        )
    return FOLDER / f"{name}.yaml"


@cache
def read_prompt(path: Path, digest: str) -> LabellerPrompt:
    """Return what a prompt file says.

    Raises DataError for a file that is missing, has other bytes than ``digest`` says, or is not of the format.
    """
    if not path.is_file():
        raise DataError(f"{path}: no labeller prompt there")
    if digest_of_file(path) != digest:
        raise DataError(f"{path}: the labeller's prompt has changed since the comparison was planned. Plan it again.")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not YAML: {error}") from error
    try:
        return LabellerPrompt.model_validate(found)
    except ValidationError as error:
        raise DataError(f"{path}: {_sentences(error.errors(include_url=False))}") from error


def transcript(chat: Chat) -> str:
    """Return a prompt as a labeller reads it: one user turn as it is, several as ``User: ...`` and so on."""
    from bench.models.chat import plain_text  # noqa: PLC0415 - brings transformers with it

    text = plain_text(chat)
    return text if len(chat) == 1 and chat[0].role == "user" else text.removesuffix("Assistant:").rstrip()


def _sentences(errors: Sequence[Any]) -> str:
    return "; ".join(f"{'.'.join(map(str, error['loc'])) or 'the file'}: {error['msg']}" for error in errors)
