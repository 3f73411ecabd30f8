"""A model behind an API reads the passages and the claim, and writes whether it is true (arXiv 2305.14251, 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import NonNegativeInt, model_validator

from bench.core.checker import Asked, Verifier
from bench.core.errors import StageError
from bench.core.stage import StageIO
from bench.core.task import NOT_SUPPORTED, SUPPORTED, Finding, Task, user
from bench.evaluation.api.api_settings import OPERATION, ApiSettings
from bench.evaluation.api.ask import ask
from bench.evaluation.api.parsing import Chosen, chosen_of
from bench.evaluation.api.questions import ApiQuestion
from bench.evaluation.api.served import tell_served
from bench.evaluation.checkers.claim_prompts import filled, shipped_digest, template_text
from bench.evaluation.checkers.verifiers.likelihood import ANSWERS, PLACES, PROMPT, in_words
from bench.evaluation.fenced import imitates, marks_of

LABEL = "Answer"
_SHOWN_PROMPTS = 3


class ApiVerifier(ApiSettings, Verifier):
    """A claim is supported when a model behind an OpenAI-compatible server, behind its passages, writes "True".

    The server, the model and its costs: as for the judge ``api`` (``bench judges api``); answers are kept in the same
    store, so none is paid for twice. ``path``: a prompt file of your own with places ``{passages}``, ``{prompt}`` and
    ``{claim}`` that asks for True or False; ``digest`` is that of its bytes. An answer that is neither is asked for
    again up to ``ask_again`` times; a claim that is then without a label stops the stage, because a rate over the
    readable ones alone would not be the rate that was asked for. It labels nothing irrelevant.
    """

    NAME: ClassVar[str] = "api"
    VERSION: ClassVar[int] = 3
    READS: ClassVar[Literal["task", "passages"]] = "passages"
    LOCATIONS: ClassVar[frozenset[str]] = OPERATION | {"path"}

    path: str | None = None
    digest: str
    ask_again: NonNegativeInt = 2

    @model_validator(mode="before")
    @classmethod
    def _with_its_prompt(cls, fields: Any) -> Any:
        return shipped_digest(fields, PROMPT) if isinstance(fields, Mapping) else fields

    def is_imitated_by(self, claim: str) -> bool:
        """Return whether a claim holds a line of the question; raises DataError for a prompt that has changed."""
        return imitates(claim, marks_of(template_text(PROMPT, self.path, self.digest, PLACES)))

    def verify(self, task: Task, asked: Sequence[Asked], io: StageIO) -> list[Finding]:
        """Return one finding per claim, in order; its evidence is what was answered and the titles that were read.

        Raises StageError for claims on which the model says neither True nor False.
        """
        questions = [self._question(one) for one in asked]
        found: dict[int, tuple[Chosen, str]] = {}
        for again in range(self.ask_again + 1):
            rest = [place for place in range(len(asked)) if place not in found or found[place][0].place is None]
            once = [
                ApiQuestion(questions[place].chat, self.decoding(), again=again, name=questions[place].name)
                for place in rest
            ]
            answers = ask(once, self.access(), io)
            tell_served(self.model, answers, io)
            for place, answer in zip(rest, answers, strict=True):
                found[place] = (chosen_of(answer, LABEL, "bare", ANSWERS), answer.text)
        self._check_all_labelled(asked, found)
        return [
            Finding(
                label=SUPPORTED if found[place][0].place == 0 else NOT_SUPPORTED,
                evidence=f"{found[place][1].strip()} after {titles(one)}",
            )
            for place, one in enumerate(asked)
        ]

    def _question(self, one: Asked) -> ApiQuestion:
        template = template_text(PROMPT, self.path, self.digest, PLACES)
        texts = {"passages": in_words(one.passages), "prompt": one.prompt.text, "claim": one.claim}
        return ApiQuestion(user(filled(template, texts)), self.decoding(), name=f"a claim on prompt {one.prompt.id}")

    def _check_all_labelled(self, asked: Sequence[Asked], found: Mapping[int, tuple[Chosen, str]]) -> None:
        lacking = [place for place, (label, _) in found.items() if label.place is None]
        if lacking:
            prompts = ", ".join(dict.fromkeys(asked[place].prompt.id for place in lacking[:_SHOWN_PROMPTS]))
            label, text = found[lacking[0]]
            raise StageError(
                f"{self.model} said neither True nor False of {len(lacking)} of {len(asked)} claims (on {prompts}, "
                f"the first {label.status}: {text[:100]!r}). Raise ask_again (with another temperature than 0) or "
                "max_tokens, ask for the answer more plainly in a prompt file, or choose another model."
            )


def titles(one: Asked) -> str:
    """Return the titles of the passages that were read."""
    return "; ".join(dict.fromkeys(passage.title for passage in one.passages)) or "no passage"
