"""A policy reads the passages and the claim, and answers whether it is true (arXiv 2305.14251, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from bench.core.checker import Asked, Passage, Verifier
from bench.core.policy import PolicySpec
from bench.core.stage import Resources, StageIO
from bench.core.task import NOT_SUPPORTED, SUPPORTED, Finding, Task, user
from bench.evaluation.checkers.claim_prompts import filled, shipped_digest, template_text
from bench.evaluation.fenced import imitates, marks_of

PROMPT = "true_or_false"
PLACES = frozenset({"passages", "prompt", "claim"})
ANSWERS = ("True", "False")


class TrueOrFalse(Verifier):
    """A claim is supported when a policy, behind its passages, finds "True" more probable than "False".

    ``policy``: who reads. ``path``: a prompt file of your own with places ``{passages}``, ``{prompt}`` and ``{claim}``;
    ``digest`` is that of its bytes. Whole answers are compared in all their spellings
    (``bench.models.likelihood.answers``), where FActScore compares two tokens of one model. It labels nothing
    irrelevant; where it finds both answers impossible, or cannot read claim and passages together, the claim is not
    supported, and the evidence says so.
    """

    NAME: ClassVar[str] = "likelihood"
    VERSION: ClassVar[int] = 4
    CAUSAL_ONLY: ClassVar[str] = "asks a verifier how it goes on with a text"
    READS: ClassVar[Literal["task", "passages"]] = "passages"
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)
    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})

    policy: PolicySpec
    path: str | None = None
    digest: str

    @model_validator(mode="before")
    @classmethod
    def _with_its_prompt(cls, fields: Any) -> Any:
        return shipped_digest(fields, PROMPT) if isinstance(fields, Mapping) else fields

    def is_imitated_by(self, claim: str) -> bool:
        """Return whether a claim holds a line of the question; raises DataError for a prompt that has changed."""
        return imitates(claim, marks_of(template_text(PROMPT, self.path, self.digest, PLACES)))

    def verify(self, task: Task, asked: Sequence[Asked], io: StageIO) -> list[Finding]:
        """Return one finding per claim, in order; its evidence is P(True) and the titles that were read."""
        from bench.models.kept import kept_policy  # noqa: PLC0415
        from bench.models.likelihood.answers import OpenedQuestion, answer_logprobs, probabilities  # noqa: PLC0415 - torch loads here
        from bench.models.local import NoRoom  # noqa: PLC0415

        template = template_text(PROMPT, self.path, self.digest, PLACES)
        questions = [
            OpenedQuestion(
                f"a claim on prompt {one.prompt.id}",
                user(
                    filled(
                        template,
                        {"passages": in_words(one.passages), "prompt": one.prompt.text, "claim": one.claim},
                    )
                ),
            )
            for one in asked
        ]
        if not questions:
            return []
        found = []
        answers = answer_logprobs(kept_policy(self.policy, io), questions, ANSWERS, io)
        for one, logprobs in zip(asked, answers, strict=True):
            if isinstance(logprobs, NoRoom):
                found.append(Finding(label=NOT_SUPPORTED, evidence=f"not read by the verifier: {logprobs.why}"))
                continue
            true, false = logprobs
            if max(true, false) == -math.inf:
                found.append(Finding(label=NOT_SUPPORTED, evidence="both answers are impossible to the verifier"))
                continue
            read = "; ".join(dict.fromkeys(passage.title for passage in one.passages)) or "no passage"
            evidence = f"P(True) = {probabilities([true, false])[0]:.3f} after {read}"
            found.append(Finding(label=SUPPORTED if true > false else NOT_SUPPORTED, evidence=evidence))
        return found


def in_words(passages: Sequence[Passage]) -> str:
    """Return passages as a reader sees them, the nearest last, where it is read last."""
    return "\n\n".join(f"Title: {passage.title}\nText: {passage.text}" for passage in reversed(passages))
