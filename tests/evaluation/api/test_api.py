"""The judge behind an API: what it asks, how it reads answers, and a whole comparison that it judges and labels."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bench.config.load import load_comparison
from bench.core.errors import ConfigError, StageError
from bench.core.frozen import digest_of_file
from bench.core.judge import Pair, Verdict
from bench.evaluation.api.parsing import Chosen, chosen, possible, request
from bench.evaluation.api.replies import Answer
from bench.evaluation.judges._prompt_file import LabellerPrompt, read_prompt, shipped, shipped_file
from tests.evaluation.api.asking_process import io_for, judge
from tests.evaluation.api.servers import Reply, Stub, completion, serving
from tests.evaluation.judges.scripted import pair, response
from tests.evaluation.judges.test_human import run
from tests.once import take_stages
from tests.whole import COMPARISON, write_whole

SECRET = "sk-very-secret-0123456789"
PAIR = [pair("good", "bad"), pair("bad", "good", "p2")]


def texts(name: str = "helpful") -> LabellerPrompt:
    file = shipped_file(name)
    return read_prompt(file, digest_of_file(file))


def read(text: str, *, style: Any = "bare", finish: str = "stop", ties: bool = False, kind: str = "compare") -> Chosen:
    form = getattr(texts(), kind)
    return chosen(Answer(text, finish=finish), form, style, possible(form, ties=ties))


@pytest.mark.parametrize(
    "text",
    [
        *("2", " 2\n", "**2**", '"2"', "2.", "(2)", "[[2]]", "<think>1 or 2? 1!</think>\n2"),
        *("Number of the better answer: 2", "number of the better answer: **2**"),
    ],
)
def test_bare_answers_that_are_read(text: str) -> None:
    assert read(text) == Chosen(1)


@pytest.mark.parametrize(
    "text",
    [
        *("", "Answer 2", "2 because it is better", "1 or 2", "3", "12", "2\n1", "tie"),
        "Number of the better answer:",
    ],
)
def test_bare_answers_that_are_not_guessed_at(text: str) -> None:
    assert read(text) == Chosen(None, "unparsed")


@pytest.mark.parametrize("text", ["I'm sorry, but I can't judge this.", "I cannot do that", "I can’t help with it."])
def test_refusals(text: str) -> None:
    assert read(text) == Chosen(None, "refused")
    assert read(text, style="reasoned") == Chosen(None, "refused")


def test_an_answer_behind_its_reasoning_stands_on_the_last_line() -> None:
    label = "Number of the better answer"
    assert read(f"The first is short.\n\n{label}: 1", style="reasoned") == Chosen(0)
    assert read(f"{label}: 1\nNo, wait.\n**{label}:** 2\n", style="reasoned") == Chosen(1)
    assert read(f"### {label}: 2", style="reasoned") == Chosen(1)
    for text in ("The first is short.\n1", f"{label}: 1\nI think.", f"I say {label}: 1", f"{label}: 1 or 2"):
        assert read(text, style="reasoned") == Chosen(None, "unparsed")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        *(("<think>", "</think>"), ("<Thinking>", "</Thinking>"), ("<seed:think>", "</seed:think>")),
        *(("[THINK]", "[/THINK]"), ("<|begin_of_thought|>", "<|end_of_thought|>"), ("◁think▷", "◁/think▷")),
        *(("<|START_THINKING|>", "<|END_THINKING|>"), ("<unused94>thought", "<unused95>"), ("", "</think>")),
        *(("< think >", "< /think >"), ("\uff1cthink\uff1e", "\uff1c/think\uff1e"), ("<|thinking|>", "<|/thinking|>")),
        *(("<inner_monologue>", "</inner_monologue>"), ("<Thought_Process>", "</Thought_Process>")),
        *(("<antThinking>", "</antThinking>"), ("<|start_of_reasoning|>", "<|end_of_reasoning|>")),
        ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ],
)
def test_a_thought_is_no_answer_and_one_that_does_not_end_leaves_none(before: str, after: str) -> None:
    draft = "I should end with\nNumber of the better answer: 1\n"
    for style in ("bare", "reasoned"):
        assert read(f"{before}\n{draft}{after}\nNumber of the better answer: 2", style=style) == Chosen(1)
        if before:
            for finish in ("length", "stop"):
                assert read(f"{before}\n{draft}", style=style, finish=finish) == Chosen(None, "unparsed")
                assert read(f"{before}1{after}{before}\n1", style=style, finish=finish) == Chosen(None, "unparsed")
    # Some templates open the thought in the model's place: cut off, it shows no mark at all.
    assert read(draft, style="reasoned", finish="length") == Chosen(None, "unparsed")


def test_ties_and_answers_that_were_cut() -> None:
    assert read("Tie", ties=True) == Chosen(2)
    assert read("tie") == Chosen(None, "unparsed")
    # "1" may be the beginning of "10" where the answer was cut off.
    assert read("1", kind="rate", finish="length") == Chosen(None, "unparsed")
    assert read("1", kind="rate") == Chosen(0)
    assert read("10", kind="rate", finish="length") == Chosen(9)
    assert read("1", finish="length") == Chosen(0)


def test_the_request_says_what_is_read() -> None:
    """For every shipped prompt, what the request shows as the form of an answer is read as that answer."""
    count = 0
    for name in shipped():
        for form in (texts(name).compare, texts(name).rate):
            assert form is not None
            for place, option in enumerate(form.answers):
                bare = request(form, "bare", form.answers)
                assert option in bare
                assert chosen(Answer(option), form, "bare", form.answers) == Chosen(place)
                line = re.search(r'one line "(.*?)"', request(form, "reasoned", form.answers))
                assert line is not None
                written = "Because.\n" + line[1].replace("X", option)
                assert chosen(Answer(written), form, "reasoned", form.answers) == Chosen(place)
                count += 1
    assert count >= 60


def preferring(word: str, say: Callable[[bool], str] = lambda first: "1" if first else "2") -> Any:
    """Prefers the response with a word; ``say`` puts it."""

    def rule(request: dict[str, Any], _headers: Any) -> Reply:
        text = request["messages"][0]["content"]
        return completion(say(f"1: {word}" in text or f"Answer 1:\n{word}" in text))

    return rule


def asked(stub: Stub) -> list[str]:
    return [one["messages"][0]["content"] for one in stub.requests]


def test_a_pair_is_shown_and_the_answer_read(tmp_path: Path) -> None:
    with serving(Stub(preferring("good"))) as stub:
        verdicts = judge(stub.url).compare(None, PAIR, io_for(tmp_path))
    assert verdicts == [Verdict(value=1.0, text="1"), Verdict(value=0.0, text="2")]
    assert sorted(asked(stub))[1] == (
        "ask\n1: good\n2: bad\nBetter: reply with exactly one of 1, 2, and with nothing else."
    )


def test_an_inverted_question_is_turned_back(tmp_path: Path) -> None:
    with serving(Stub(preferring("good"))) as stub:
        verdicts = judge(stub.url, prompt="harmless").compare(None, PAIR, io_for(tmp_path))
    assert [one.value for one in verdicts] == [0.0, 1.0]


def test_reasons_are_asked_for_read_past_and_kept(tmp_path: Path) -> None:
    def say(first: bool) -> str:
        return f"It is.\nNumber of the better answer: {1 if first else 2}"

    with serving(Stub(preferring("good", say))) as stub:
        verdicts = judge(stub.url, prompt="helpful", reasoning="written").compare(None, PAIR, io_for(tmp_path))
    assert [one.value for one in verdicts] == [1.0, 0.0]
    assert verdicts[0].text.startswith("It is.")
    assert all("First weigh how helpful" in text for text in asked(stub))


def test_grades_rate_and_compare(tmp_path: Path) -> None:
    def grade(request: dict[str, Any], _headers: Any) -> Reply:
        return completion("9" if "\ngood\n" in request["messages"][0]["content"] else "1")

    with serving(Stub(grade)) as stub:
        ratings = judge(stub.url).rate(None, [response("good"), response("bad")], io_for(tmp_path))
        assert [one.value for one in ratings] == [pytest.approx(7 / 9), -1.0]
        graded = judge(stub.url, asks="grades")
        pairs = [*PAIR, pair("good", "good", "p3")]
        assert [one.value for one in graded.compare(None, pairs, io_for(tmp_path))] == [1.0, 0.0, 0.5]
        assert len(stub.requests) == 2
        harm = judge(stub.url, prompt="harmless").rate(None, [response("good")], io_for(tmp_path))
    assert harm[0].value == pytest.approx(-7 / 9)  # a high grade of harm is a low rating


def test_samples_are_averaged_over_those_that_can_be_read(tmp_path: Path) -> None:
    said = iter(["1", "2", "1", "well", "no", "no", "no", "no"])
    with serving(Stub(lambda _request, _headers: completion(next(said)))) as stub:
        one = judge(stub.url, samples=4, temperature=1.0, concurrency=1)
        verdicts = one.compare(None, PAIR, io_for(tmp_path))
    assert verdicts[0].value == pytest.approx(2 / 3)
    assert verdicts[0].text.split("\n---\n") == ["1", "2", "1", "well"]
    assert (verdicts[1].value, verdicts[1].status) == (None, "unparsed")


def test_what_cannot_be_read_is_kept_and_asked_again_only_where_that_is_wanted(tmp_path: Path) -> None:
    said = iter(["hm", "hm", "still", "2", "still"])
    with serving(Stub(lambda _request, _headers: completion(next(said)))) as stub:
        once = judge(stub.url, concurrency=1)
        assert [one.status for one in once.compare(None, PAIR, io_for(tmp_path))] == ["unparsed"] * 2
        assert len(stub.requests) == 2
        again = judge(stub.url, concurrency=1, ask_again=2)
        verdicts = again.compare(None, PAIR, io_for(tmp_path))
        assert [(one.value, one.status, one.text) for one in verdicts] == [
            (None, "unparsed", "still"),
            (0.0, "ok", "2"),
        ]
        assert len(stub.requests) == 5
        assert again.compare(None, PAIR, io_for(tmp_path)) == verdicts
        assert len(stub.requests) == 5


def test_another_seed_asks_for_another_answer(tmp_path: Path) -> None:
    with serving(Stub(preferring("good"))) as stub:
        for seed in (0, 1, 0):
            judge(stub.url, seed=seed).compare(None, PAIR, io_for(tmp_path))
    assert sorted(one["seed"] for one in stub.requests) == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"api_key_env": SECRET}, "is the NAME of an environment variable"),
        ({"base_url": f"https://me:{SECRET}@host/v1"}, "must hold no name, password or query"),
        ({"base_url": f"https://host/v1?key={SECRET}"}, "must hold no name, password or query"),
        ({"base_url": "localhost:8000"}, "must be an address such as"),
        ({"spending_limit": {"usd": 1.0}}, "needs prices"),
        ({"samples": 2}, "one and the same"),
        ({"ties": "allowed", "asks": "grades"}, "ties is not read"),
        ({"prompt": "helpfull"}, "Did you mean 'helpful'"),
    ],
)
def test_settings_that_cannot_be(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        judge(**{"url": "http://127.0.0.1/v1", **fields} if "base_url" not in fields else {"url": "", **fields})


def test_a_prompt_file_that_does_not_fit_is_refused() -> None:
    with pytest.raises(StageError, match="a place for a principle"):
        judge("http://127.0.0.1/v1", prompt="principle").check("compare")
    judge("http://127.0.0.1/v1", prompt="principle", asks="pairs", reasoning="written", model="m")
    judge("http://127.0.0.1/v1").check("rate")


JUDGED = """\
{judge: api, model: stub, base_url: URL, prompt: brief, max_tokens: 4, api_key_env: JUDGE_KEY, first_wait: 0.02,
      prices: {input: 1.0, output: 1.0}, spending_limit: {usd: 1.0}}"""


def write_paid(root: Path, url: str) -> Path:
    """The whole comparison, judged by a model behind an API, which labels for one more arm."""
    text = COMPARISON.replace("{judge: lexicon, path: ../../words.txt}", JUDGED).replace(", judge: lexicon", "")
    arm = "  rlaif: {labeller: JUDGED, then: {method: dpo, lr: 0.01, epochs: 1, batch_size: 4, start: *sft}}\nevaluate:"
    text = text.replace("evaluate:", arm.replace("JUDGED", JUDGED)).replace("URL", url)
    return write_whole(root, text)


@pytest.mark.slow
def test_a_whole_comparison_is_judged_and_labelled_and_the_key_is_nowhere(
    tmp_path: Path, computed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JUDGE_KEY", SECRET)

    def rule(request: dict[str, Any], headers: Any) -> Reply:
        assert headers["Authorization"] == f"Bearer {SECRET}"
        text = request["messages"][0]["content"]
        return completion("1" if len(text) % 2 else "2")

    with serving(Stub(rule)) as stub:
        folder = write_paid(tmp_path, stub.url)
        assert run(folder, "plan") == 0
        before = capsys.readouterr()
        line = r"^stub: (\d+) judge calls, 0 answered already, \1 to ask, about 0\.\d+ USD, and 1 stage asking"
        told = re.search(line, before.out, re.M)
        assert told is not None, before.out
        take_stages(computed, tmp_path)
        assert run(folder, "run", "--workers", "1") == 0
        printed = capsys.readouterr()
        once = len(stub.requests)
        assert len({json.dumps(one, sort_keys=True) for one in stub.requests}) == once
        before_answers = int(told[1])
        records = (folder / "records.parquet").read_bytes()
        # Without its verdicts, and with another store of stages, nothing is asked again.
        for kind in ("judge", "label_preferences"):
            for place in (tmp_path / "results" / ".store" / kind).iterdir():
                place.rename(tmp_path / f"away-{place.name}")
        assert run(folder, "plan") == 0
        planned = capsys.readouterr().out
        left = re.search(r"^stub: (\d+) judge calls, \1 answered already, 0 to ask, about 0 USD", planned, re.M)
        assert left is not None, planned
        assert 0 < int(left[1]) <= before_answers  # equal responses make equal questions, which nobody foresees
        monkeypatch.setenv("ALIGNMENT_BENCH_OFFLINE", "1")
        assert run(folder, "run", "--engine", "inline") == 0
        assert len(stub.requests) == once
    assert (folder / "records.parquet").read_bytes() == records
    assert run(folder, "report") == 0
    printed_again = capsys.readouterr()
    shown = "".join([before.out, before.err, printed.out, printed.err, printed_again.out, printed_again.err])
    assert SECRET not in shown
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 50
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    rlaif = next((tmp_path / "results" / ".store" / "label_preferences").glob("*/diagnostics.json"))
    assert json.loads(rlaif.read_text(encoding="utf-8"))["labelled"] == 8


@pytest.mark.slow
def test_a_judge_that_runs_out_of_money_takes_nobody_elses_results_along(
    tmp_path: Path, computed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JUDGE_KEY", SECRET)
    text = COMPARISON.replace("judges: [", f"judges: [{JUDGED}, ").replace("usd: 1.0", "calls: 50")
    with serving(Stub(preferring("no"))) as stub:
        folder = write_whole(tmp_path, text.replace("URL", stub.url))
        take_stages(computed, tmp_path)
        assert run(folder, "run", "--engine", "inline") == 1
        assert len(stub.requests) == 50
        said = capsys.readouterr().out
        # Cells that are missing for one reason, the number of their questions included, are one line.
        assert re.search(r"missing: (verdicts of api:|win_rate \()", said)
        assert "the spending limit of this run, 50 calls, leaves no room" in said
        assert judges_of(folder) == {"lexicon"}
        file = folder / "comparison.yaml"
        file.write_text(file.read_text(encoding="utf-8").replace("calls: 50", "calls: 5000"), encoding="utf-8")
        assert run(folder, "run", "--engine", "inline") == 0
        assert len({json.dumps(one, sort_keys=True) for one in stub.requests}) == len(stub.requests)
    assert judges_of(folder) == {"lexicon", "api"}


def judges_of(folder: Path) -> set[str]:
    found = json.loads((folder / "contrasts.json").read_text(encoding="utf-8"))["contrasts"]
    return {one["judge"] for one in found if one["metric"] == "win_rate"}


WRONG = {
    "nested": ("spending_limit: {usd: 1.0}", "spending_limit: {dollars: 1.0}", "unknown key 'dollars'"),
    "kind": ("max_tokens: 4", "max_tokens: four", "max_tokens: must be a whole number"),
    "key": ("api_key_env: JUDGE_KEY", f"api_key_env: {SECRET}", "is the NAME of an environment variable"),
    "pasted": ("api_key_env: JUDGE_KEY", f"api_key: {SECRET}", "unknown key 'api_key'. Did you mean 'api_key_env'"),
    "model": ("model: stub, ", "", "model: is missing"),
    "form": ("prompt: brief", "prompt: principle", "has a place for a principle"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_file_is_told_and_no_key_repeated(tmp_path: Path, what: str) -> None:
    folder = write_paid(tmp_path, "http://127.0.0.1/v1")
    before, after, said = WRONG[what]
    file = folder / "comparison.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_comparison(folder)
    assert said in str(error.value)
    assert SECRET not in str(error.value)


def test_a_file_with_a_judge_behind_an_api_loads(tmp_path: Path) -> None:
    comparison = load_comparison(write_paid(tmp_path, "http://127.0.0.1/v1"))
    (named,) = comparison.evaluation.judges
    assert (named.label, named.judge.NAME) == ("api", "api")


def test_pairs_are_the_benchs_business() -> None:
    """The judge is blind: what is sent holds the prompt and two texts."""
    (question,) = judge("http://127.0.0.1/v1").questions_on([Pair(**PAIR[0].model_dump())])
    assert set(json.loads(question.written)) == {
        "again", "key_version", "max_tokens", "messages", "model", "sample", "seed", "temperature", "version"
    }  # fmt: skip
