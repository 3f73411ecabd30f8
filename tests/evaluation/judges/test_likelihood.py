"""The labeller: distributions, rationales, ratings and what it refuses. Figures of METHODS 3(e), 9(e) and 17."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bench.models.kept
from bench.core.errors import DataError, StageError
from bench.core.frozen import decode, digest, digest_of_file, encode
from bench.core.plugins import JUDGE, find
from bench.core.policy import Instructed, Message, Pretrained
from bench.core.task import Prompt
from bench.evaluation.judges._prompt_file import FOLDER, read_prompt, shipped, transcript
from bench.evaluation.judges.likelihood import Likelihood, mean_distribution, probability_higher, rescaled_score
from bench.models.hf import HFPolicy
from tests.evaluation.judges.scripted import CHARACTERS, LABELLER, Scripted, install, io_in, pair, response

__all__ = ["install"]  # a fixture
Install = Callable[[HFPolicy], HFPolicy]
TEN = [str(number) for number in range(1, 11)]


def labeller(**fields: Any) -> Likelihood:
    return Likelihood.model_validate({"policy": LABELLER, "prompt": "brief", **fields})


def prefers(word: str, sure: float) -> Callable[[str, str], float]:
    """The response that holds the word is the better one, with that probability."""

    def rule(before: str, answer: str) -> float:
        first = before.partition("\n1: ")[2].partition("\n")[0]
        return (sure if (word in first) == (answer.strip() == "1") else 1 - sure) / 2

    return rule


def test_the_shipped_prompts_ask_both_kinds_of_question() -> None:
    assert {"brief", "harmless", "helpful", "summary"} <= set(shipped())
    for name in shipped():
        found = read_prompt(FOLDER / f"{name}.yaml", digest_of_file(FOLDER / f"{name}.yaml"))
        assert found.compare is not None
        assert found.compare.inverted == (name == "harmless")
    assert find(JUDGE, "likelihood") is Likelihood


def test_it_prefers_what_the_policy_finds_more_probable(tmp_path: Path, install: Install) -> None:
    policy = install(Scripted(prefers("good", 0.9)))
    asked = [pair("good", "bad"), pair("bad", "good", "p2")]
    found = labeller().compare(None, asked, io_in(tmp_path))
    assert [one.value for one in found] == pytest.approx([0.9, 0.1])
    assert isinstance(policy, Scripted)
    assert policy.scored[0] == "ask\n1: good\n2: bad\nBetter:"


def test_places_are_filled_once(tmp_path: Path, install: Install) -> None:
    policy = install(Scripted(prefers("good", 0.9)))
    labeller().compare(None, [pair("{second}", "{first}", prompt="{first}")], io_in(tmp_path))
    assert isinstance(policy, Scripted)
    assert policy.scored == ["{first}\n1: {second}\n2: {first}\nBetter:"]


def test_an_inverted_question_is_turned_round(tmp_path: Path, install: Install) -> None:
    install(Scripted(lambda _before, answer: 0.8 if answer.strip() == "1" else 0.2))
    found = labeller(prompt="harmless").compare(None, [pair("a", "b")], io_in(tmp_path))
    assert found[0].value == pytest.approx(0.2)
    install(Scripted(lambda _before, answer: 1.0 if answer.strip() == "10" else 0.0))
    # "10" is the gravest harm. Another answer's own probability is 0 here.
    assert labeller(prompt="harmless").rate(None, [response("a")], io_in(tmp_path / "b"))[0].value == -1.0


@pytest.mark.parametrize(
    ("chances", "wanted"),
    [
        ({str(number): 0.1 for number in range(1, 11)}, 0.0),
        ({"10": 1.0}, 1.0),
        ({"1": 1.0}, -1.0),
        ({"6": 0.5, "8": 0.5}, 0.3333),
    ],
)
def test_a_rating_is_the_expected_grade_rescaled(
    tmp_path: Path, install: Install, chances: dict[str, float], wanted: float
) -> None:
    # P("1" and no longer answer) is what the rule says; the model says P("1...") = P("1") + P("10").
    def rule(_before: str, answer: str) -> float:
        if answer != answer.strip():
            return 0.0
        return chances.get(answer, 0.0) + (chances.get("10", 0.0) if answer == "1" else 0.0)

    install(Scripted(rule))
    assert labeller().rate(None, [response("a")], io_in(tmp_path))[0].value == pytest.approx(wanted, abs=1e-4)
    exact = rescaled_score([chances.get(answer, 0.0) for answer in TEN])
    assert exact == pytest.approx(wanted, abs=1e-4)


def test_the_chance_of_the_higher_grade() -> None:
    assert probability_higher([0.0, 1.0], [1.0, 0.0]) == 1.0
    assert probability_higher([0.5, 0.5], [0.5, 0.5]) == 0.5
    assert probability_higher([0.2, 0.3, 0.5], [0.6, 0.3, 0.1]) == pytest.approx(
        0.3 * 0.6 + 0.5 * 0.9 + (0.2 * 0.6 + 0.3 * 0.3 + 0.5 * 0.1) / 2
    )


def test_a_pair_compared_by_grades_is_swayed_by_no_order(tmp_path: Path, install: Install) -> None:
    def rule(before: str, answer: str) -> float:
        sure = {"good": ("8", 0.75, "4"), "bad": ("4", 0.75, "8")}["good" if "good" in before else "bad"]
        return {sure[0]: sure[1], sure[2]: 1 - sure[1]}.get(answer.strip(), 0.0) / 2

    policy = install(Scripted(rule))
    asked = [pair("good", "bad"), pair("bad", "good"), pair("good", "good")]
    found = [one.value for one in labeller(asks="grades").compare(None, asked, io_in(tmp_path))]
    higher = 0.75 * 0.75 + (0.75 * 0.25 + 0.25 * 0.75) / 2
    assert found == pytest.approx([higher, 1 - higher, 0.5])
    assert isinstance(policy, Scripted)
    assert len(policy.scored) == 2  # each response is graded once
    clamped = labeller(asks="grades", confidence_limit=0.6).compare(None, asked[:1], io_in(tmp_path))
    assert clamped[0].value == pytest.approx(0.6)


def test_a_chain_of_thought_is_written_and_then_the_answer_asked_behind_it(tmp_path: Path, install: Install) -> None:
    policy = install(Scripted(prefers("good", 0.9), lambda _asked, _draw: " good wins\nBetter: 2 and more"))
    found = labeller(rationale="greedy", max_rationale_tokens=9).compare(None, [pair("good", "bad")], io_in(tmp_path))
    assert isinstance(policy, Scripted)
    assert policy.asked == ["ask\n1: good\n2: bad\nWhy?"]
    assert policy.scored == ["ask\n1: good\n2: bad\nWhy? good wins\nBetter:"]  # its own answer is cut off
    assert (policy.decodings[0].temperature, policy.decodings[0].max_new_tokens) == (0.0, 9)
    assert found[0].text == " good wins"
    assert found[0].value == pytest.approx(0.9)


def test_self_consistency_averages_distributions_and_not_votes(tmp_path: Path, install: Install) -> None:
    chances = [0.9, 0.4, 0.3, 0.4]

    def rule(before: str, answer: str) -> float:
        first = chances[int(before.partition("draw ")[2][0])]
        return first if answer.strip() == "1" else 1 - first

    policy = install(Scripted(rule, lambda _asked, draw: f"draw {draw}"))
    judge = labeller(rationale="sampled", samples=4, temperature=0.7, top_k=5)
    found = judge.compare(None, [pair("a", "b")], io_in(tmp_path))
    assert found[0].value == pytest.approx(0.5)  # the votes would say 0.25
    assert isinstance(policy, Scripted)
    assert (policy.decodings[0].temperature, policy.decodings[0].top_k) == (0.7, 5)
    assert len(policy.asked) == 4
    assert mean_distribution([[0.9, 0.1], [0.4, 0.6]]) == pytest.approx([0.65, 0.35])


def test_labels_are_clamped_and_ratings_are_not(tmp_path: Path, install: Install) -> None:
    for chance, wanted in ((0.98, 0.6), (0.5, 0.5), (0.02, 0.4)):
        install(Scripted(lambda _before, answer, chance=chance: chance if answer.strip() == "1" else 1 - chance))
        one = labeller(confidence_limit=0.6)
        assert one.compare(None, [pair("a", "b")], io_in(tmp_path))[0].value == pytest.approx(wanted)
    install(Scripted(lambda _before, answer: 1.0 if answer.strip() == "9" else 1e-9))
    assert labeller(confidence_limit=0.6).rate(None, [response("a")], io_in(tmp_path))[0].value == pytest.approx(7 / 9)


def test_a_principle_is_drawn_per_pair_and_is_the_same_in_both_orders(tmp_path: Path, install: Install) -> None:
    policy = install(Scripted(prefers("good", 0.9)))
    judge = labeller(prompt="principle", principles=("be kind", "be true"))
    asked = [one for number in range(12) for one in (pair("a", "b", f"p{number}"), pair("b", "a", f"p{number}"))]
    judge.compare(None, asked, io_in(tmp_path))
    assert isinstance(policy, Scripted)
    drawn = ["be kind" in text for text in policy.scored]
    assert drawn[::2] == drawn[1::2]
    assert set(drawn) == {True, False}
    assert all(("be kind" in text) != ("be true" in text) for text in policy.scored)
    with pytest.raises(StageError, match="has a place for a principle"):
        labeller(prompt="principle").compare(None, asked, io_in(tmp_path))
    with pytest.raises(StageError, match="has no place"):
        labeller(principles=("x",)).rate(None, [response("a")], io_in(tmp_path))


def test_what_the_labeller_finds_impossible_is_undefined(tmp_path: Path, install: Install) -> None:
    install(Scripted(lambda _before, _answer: 0.0))
    found = labeller().compare(None, [pair("a", "b")], io_in(tmp_path))[0]
    assert (found.value, found.status) == (None, "undefined")


def test_a_labeller_that_cannot_answer_is_refused(tmp_path: Path, install: Install) -> None:
    install(Scripted(prefers("good", 0.9), characters=CHARACTERS.replace("2", "")))
    with pytest.raises(StageError, match=r"prompt p7: .*cannot write the answer '2'"):
        labeller().compare(None, [pair("a", "b", "p7")], io_in(tmp_path))


def test_what_does_not_fit_is_undefined_and_says_why(tmp_path: Path, install: Install) -> None:
    install(Scripted(prefers("good", 0.9), context=64))
    asked = [pair("a", "b"), pair("a" * 60, "b", "p8")]
    short, long = labeller().compare(None, asked, io_in(tmp_path))
    assert short.status == "ok"
    assert (long.value, long.status) == (None, "undefined")
    assert "too long for the labeller" in long.text and "context of 64" in long.text
    for verdict in labeller(rationale="greedy", max_rationale_tokens=50).compare(None, asked, io_in(tmp_path)):
        assert (verdict.value, verdict.status) == (None, "undefined")
        assert "no room for a rationale (max_rationale_tokens is 50)" in verdict.text


def test_one_stage_loads_a_labeller_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    policy = Scripted(prefers("good", 0.9))
    monkeypatch.setattr(bench.models.kept, "load_policy", lambda spec, _io: loads.append(spec) or policy)
    io = io_in(tmp_path)
    for _ in range(2):
        labeller().compare(None, [pair("a", "b")], io)
        labeller().rate(None, [response("a")], io)
    assert loads == [LABELLER]
    assert io.meter.read_tokens > 0
    labeller().compare(None, [pair("a", "b")], io_in(tmp_path))
    assert len(loads) == 2


def test_an_instructed_labeller_reads_its_instruction(tmp_path: Path, install: Install) -> None:
    policy = install(Scripted(prefers("good", 0.9)))
    spec = Instructed(base=LABELLER, instruction="Be fair.", separator=" ")
    labeller(policy=spec).compare(None, [pair("a", "b")], io_in(tmp_path))
    assert isinstance(policy, Scripted)
    assert policy.scored[0].startswith("Be fair. ask")


def test_several_turns_are_shown_as_a_conversation() -> None:
    chat = (
        Message(role="user", content="hi"),
        Message(role="assistant", content="hello"),
        Message(role="user", content="bye"),
    )
    assert transcript(chat) == "User: hi\n\nAssistant: hello\n\nUser: bye"
    assert transcript(chat[:1]) == Prompt(id="x", chat=chat[:1], cluster="x").text


def test_the_prompt_is_in_the_key_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text('compare: {sample: "{prompt}{first}{second}", ending: "?", answers: [a, b]}\n')
    own = labeller(prompt=None, path=str(file), digest=digest_of_file(file))
    assert own.texts().rate is None
    assert decode(encode(own)) == own
    assert decode(encode(labeller())) == labeller()
    assert Likelihood.model_validate({"policy": LABELLER}).prompt == "helpful"
    keys = {digest(one) for one in (own, labeller(), labeller(prompt="helpful"), labeller(digest="0"))}
    assert len(keys) == 4
    moved = tmp_path / "moved.yaml"
    moved.write_bytes(file.read_bytes())
    assert digest(labeller(prompt=None, path=str(moved), digest=own.digest)) == digest(own)
    file.write_text("compare: 3\n")
    read_prompt.cache_clear()
    with pytest.raises(DataError, match="has changed"):
        own.texts()
    with pytest.raises(StageError, match=r"moved.yaml has no `rate`"):
        labeller(prompt=None, path=str(moved), digest=own.digest).rate(None, [response("a")], io_in(tmp_path))
    with pytest.raises(StageError, match="no rationale under `compare`"):
        labeller(prompt=None, path=str(moved), digest=own.digest, rationale="greedy").compare(
            None, [pair("a", "b")], io_in(tmp_path)
        )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("compare: [", "not YAML"),
        ("{}", "needs `compare`, `rate` or both"),
        ('compare: {sample: "{prompt}{first}", ending: x, answers: ["1", "2"]}', "sample must hold"),
        ('compare: {sample: "{prompt}{first}{second}", ending: x, answers: ["1"]}', "compare.answers"),
        ('rate: {sample: "{prompt}{response}", ending: x, answers: ["1", "1"]}', "two of the answers are the same"),
        ('rate: {sample: "{prompt}{response}", ending: x, answers: ["1", "2"], endin: y}', "rate.endin"),
    ],
)
def test_a_wrong_prompt_file_is_told(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(DataError, match=r"wrong\.yaml: ") as error:
        read_prompt(file, digest_of_file(file))
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": "helpfull"}, "Did you mean 'helpful'"),
        ({"prompt": "brief", "path": "x.yaml", "digest": "d"}, "Leave one of them out"),
        ({"samples": 3}, "samples is not read with rationale: none"),
        ({"rationale": "greedy", "seed": 1}, "seed is not read with rationale: greedy"),
        ({"max_rationale_tokens": 9}, "max_rationale_tokens is not read"),
        ({"confidence_limit": 0.4}, "confidence_limit"),
        ({"rationale": "sampled", "temperature": 0}, "temperature"),
    ],
)
def test_settings_that_nothing_reads_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        labeller(**fields)


def test_every_field_moves_the_key() -> None:
    one = labeller(rationale="sampled")
    changes: dict[str, Any] = {
        "policy": Pretrained(repo="x"),
        "prompt": "helpful",
        "digest": "0",
        "asks": "grades",
        "rationale": "greedy",
        "samples": 2,
        "temperature": 1.0,
        "top_k": None,
        "seed": 1,
        "max_rationale_tokens": 5,
        "confidence_limit": 0.6,
        "principles": ("x",),
    }
    assert set(changes) == set(Likelihood.model_fields) - Likelihood.LOCATIONS
    keys = {digest(one.model_copy(update={name: value})) for name, value in changes.items()}
    assert len(keys) == len(changes)
    assert digest(one) not in keys
