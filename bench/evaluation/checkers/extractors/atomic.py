"""A policy breaks every sentence into atomic facts (FActScore, Min et al. 2023, arXiv 2305.14251, section 3.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import PositiveInt, model_validator

from bench.core.checker import Extractor
from bench.core.judge import Response
from bench.core.policy import Decoding, PolicySpec
from bench.core.stage import Resources, StageIO
from bench.core.task import Claim, Task, user
from bench.evaluation.checkers.claim_prompts import filled, shipped_digest, template_text
from bench.evaluation.checkers.sentence_split import abstains, sentence_spans
from bench.evaluation.generate import row_seed

PROMPT = "atomic_facts"
PLACES = frozenset({"sentence"})
_ITEM = re.compile(r"^\s*(?:[-*\u2022]|\d{1,3}[.)])\s*(?P<fact>\S.*?)\s*$")


class AtomicFacts(Extractor):
    """The facts into which a policy breaks each sentence, one per list item of what it writes, each once.

    ``policy``: who breaks them. ``path``: a prompt file of your own with a place ``{sentence}``; ``digest`` is that of
    its bytes. A sentence of which it makes no list, or that it cannot read, is one claim itself. Decoded greedily, so a
    claim is the same in every run; FActScore samples at temperature 0.7 and adds demonstrations chosen by BM25.
    """

    NAME: ClassVar[str] = "atomic"
    VERSION: ClassVar[int] = 3
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)
    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})

    policy: PolicySpec
    path: str | None = None
    digest: str
    max_new_tokens: PositiveInt = 256

    @model_validator(mode="before")
    @classmethod
    def _with_its_prompt(cls, fields: Any) -> Any:
        return shipped_digest(fields, PROMPT) if isinstance(fields, Mapping) else fields

    def extract(self, task: Task, responses: Sequence[Response], io: StageIO) -> list[list[Claim]]:
        """Return the facts of each response, in order; a fact's place is that of its sentence."""
        from bench.models.kept import kept_policy  # noqa: PLC0415 - torch loads here

        template = template_text(PROMPT, self.path, self.digest, PLACES)
        places = [
            (number, span)
            for number, response in enumerate(responses)
            for span in sentence_spans(response.text)
            if not abstains(response.text[slice(*span)])
        ]
        texts = [responses[number].text[slice(*span)] for number, span in places]
        once = list(dict.fromkeys(texts))
        written: dict[str, str] = {}
        if once:
            completions = kept_policy(self.policy, io).generate(
                [user(filled(template, {"sentence": text})) for text in once],
                Decoding(temperature=0.0, max_new_tokens=self.max_new_tokens),
                seeds=[row_seed(0, text, 0) for text in once],
                io=io,
            )
            written = {text: completion.text for text, completion in zip(once, completions, strict=True)}
        found: list[list[Claim]] = [[] for _ in responses]
        for (number, (start, end)), text in zip(places, texts, strict=True):
            seen = {claim.text for claim in found[number]}
            facts = [fact for fact in dict.fromkeys(facts_in(written[text]) or [text]) if fact not in seen]
            found[number] += [Claim(text=fact, start=start, end=end) for fact in facts]
        return found


def facts_in(written: str) -> list[str]:
    """Return the items of a list, one per line; nothing of a text without any."""
    return [match["fact"] for line in written.split("\n") if (match := _ITEM.match(line))]
