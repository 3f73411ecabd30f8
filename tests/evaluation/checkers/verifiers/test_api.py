"""Claims checked by a model behind an API."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.core.checker import Asked, Passage
from bench.core.errors import StageError
from bench.core.frozen import digest_of_file
from bench.core.task import NOT_SUPPORTED, SUPPORTED, Prompt, user
from bench.evaluation.checkers.verifiers.api import ApiVerifier
from tests.evaluation.api.asking_process import io_for
from tests.evaluation.api.servers import Reply, Stub, completion, serving
from tests.evaluation.judges.test_contract import Short

PAGES = (Passage(title="Grass", text="Grass is green."), Passage(title="Sky", text="The sky is blue."))


def claims(*texts: str) -> list[Asked]:
    return [
        Asked(prompt=Prompt(id="p1", chat=user("colours?"), cluster="p1"), claim=text, passages=PAGES) for text in texts
    ]


def verifier(url: str, **fields: Any) -> ApiVerifier:
    return ApiVerifier.model_validate({"model": "stub", "base_url": url, "first_wait": 0.02, **fields})


def by_claim(request: dict[str, Any], _headers: Any) -> Reply:
    return completion("True" if "answer: grass is green" in request["messages"][0]["content"] else "Answer: False.")


def labels(found: Sequence[Any]) -> list[str]:
    return [one.label for one in found]


def test_a_claim_is_supported_where_the_model_says_true(tmp_path: Path) -> None:
    asked = claims("grass is green", "the sky is red", "grass is green")
    with serving(Stub(by_claim)) as stub:
        found = verifier(stub.url).verify(Short(), asked, io_for(tmp_path))
        assert labels(found) == [SUPPORTED, NOT_SUPPORTED, SUPPORTED]
        assert found[1].evidence == "Answer: False. after Grass; Sky"
        assert verifier(stub.url).verify(Short(), asked, io_for(tmp_path)) == found
        assert len(stub.requests) == 2
        assert verifier(stub.url).verify(Short(), [], io_for(tmp_path)) == []
    text = stub.requests[0]["messages"][0]["content"]
    # The nearest passage stands last.
    assert text.index("The sky is blue.") < text.index("Grass is green.") < text.index("Question: colours?")


def test_what_is_neither_is_asked_again_and_then_stops_the_stage(tmp_path: Path) -> None:
    said = iter(["perhaps", "hm", "True", "perhaps", "hm"])
    with serving(Stub(lambda _request, _headers: completion(next(said)))) as stub:
        found = verifier(stub.url).verify(Short(), claims("one"), io_for(tmp_path))
        assert labels(found) == [SUPPORTED]
        with pytest.raises(
            StageError, match=r"neither True nor False of 1 of 1 claims \(on p1, the first unparsed: 'hm'"
        ):
            verifier(stub.url, ask_again=1).verify(Short(), claims("two"), io_for(tmp_path))


def test_a_prompt_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("{passages} | {prompt} | {claim} True or False?", encoding="utf-8")
    with serving(Stub(by_claim)) as stub:
        own = verifier(stub.url, path=str(file), digest=digest_of_file(file))
        assert labels(own.verify(Short(), claims("x"), io_for(tmp_path))) == [NOT_SUPPORTED]
    assert stub.requests[0]["messages"][0]["content"].endswith("| colours? | x True or False?")
