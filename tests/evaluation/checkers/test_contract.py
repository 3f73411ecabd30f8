"""What every extractor, retriever and verifier must do, for every file in the three folders: the folder is the list."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet as pq
import pytest
import torch
from transformers import BertForSequenceClassification, BertModel

from bench.config.comparison import Factuality
from bench.core.checker import Asked, Knowledge, PagesFile, Passage, WorldPages
from bench.core.errors import BenchError, DataError, StageError
from bench.core.frozen import Open, decode, digest, digest_of_file, encode
from bench.core.judge import Response
from bench.core.plugins import EXTRACTOR, RETRIEVER, VERIFIER, listing
from bench.core.policy import Decoding
from bench.core.stage import StageIO
from bench.core.task import Claim, Finding, Prompt, Task, user
from bench.evaluation.checkers.extractors.atomic import AtomicFacts, facts_in
from bench.evaluation.checkers.extractors.sentences import Sentences
from bench.evaluation.checkers.extractors.task import TaskClaims
from bench.evaluation.checkers.nearest import highest
from bench.evaluation.checkers.retrievers.bm25 import BM25
from bench.evaluation.checkers.retrievers.dense import Dense
from bench.evaluation.checkers.verifiers.api import ApiVerifier
from bench.evaluation.checkers.verifiers.exact import Exact
from bench.evaluation.checkers.verifiers.likelihood import TrueOrFalse
from bench.evaluation.checkers.verifiers.nli import Inference, entailment_place
from bench.evaluation.generate import Generate
from bench.evaluation.measurements.factuality.extract import PAYLOAD, ExtractClaims
from bench.evaluation.measurements.factuality.factual_errors import checked
from bench.evaluation.measurements.factuality.retrieve import NEAREST, PASSAGES, IndexPassages, cut, pages_in
from bench.evaluation.measurements.factuality.verification import COUNTS, CheckClaims
from bench.models.encoder import embeddings
from bench.models.hf import HFPolicy
from tasks.atlas import Atlas
from tests.evaluation.checkers.encoders import classifier, encoder
from tests.evaluation.judges.scripted import LABELLER, Scripted, install, io_in
from tests.methods.tiny import Bench, pretrained

__all__ = ["install"]  # a fixture
PAGES = [
    Passage(title="Paris", text="Paris is the capital of France"),
    Passage(title="Rome", text="Rome is the capital of Italy"),
    Passage(title="Sea", text="a big city lies on the sea"),
]


class Colours(Task):
    """Every word is a claim; only "red" is true, and "um" says nothing."""

    NAME: ClassVar[str] = "colours"
    VERSION: ClassVar[int] = 1

    def prompts(self) -> Sequence[Prompt]:
        return tuple(Prompt(id=name, chat=user(f"ask {name}"), cluster=name) for name in ("one", "two"))

    def decoding(self) -> Decoding:
        return Decoding(max_new_tokens=4)

    def claims(self, prompt: Prompt, response: str) -> Sequence[Claim]:
        return [Claim(text=word) for word in response.split()]

    def support(self, prompt: Prompt, claim: str) -> Finding:
        label: Any = {"red": "supported", "um": "irrelevant"}.get(claim, "not_supported")
        return Finding(label=label, evidence=claim)


class Silent(Task):
    """Knows nothing of claims."""

    NAME: ClassVar[str] = "silent"
    VERSION: ClassVar[int] = 1

    def prompts(self) -> Sequence[Prompt]:
        return ()

    def decoding(self) -> Decoding:
        return Decoding()


def examples(folder: Path) -> dict[str, dict[str, Open]]:
    """One of every plug-in, by kind and name."""
    return {
        "extractor": {
            "atomic": AtomicFacts.model_validate({"policy": LABELLER}),
            "sentences": Sentences(),
            "task": TaskClaims(),
        },
        "retriever": {"bm25": BM25(), "dense": Dense(**encoder(folder / "encoder", BertModel))},
        "verifier": {
            "exact": Exact(),
            "likelihood": TrueOrFalse.model_validate({"policy": LABELLER}),
            "nli": Inference(**classifier(folder / "classifier")),
            "api": ApiVerifier.model_validate({"model": "stub", "base_url": "http://127.0.0.1/v1"}),
        },
    }


def test_every_plug_in_has_an_example_and_survives_json(tmp_path: Path) -> None:
    found = examples(tmp_path)
    listed: Mapping[str, Mapping[str, object]] = {
        "extractor": listing(EXTRACTOR),
        "retriever": listing(RETRIEVER),
        "verifier": listing(VERIFIER),
    }
    assert {kind: set(plugins) for kind, plugins in found.items()} == {
        kind: set(names) for kind, names in listed.items()
    }
    values = [value for plugins in found.values() for value in plugins.values()]
    assert len(values) == 9
    for value in values:
        assert decode(encode(value)) == value
    assert len({digest(value) for value in values}) == len(values)


@pytest.mark.parametrize("name", ["atomic", "sentences", "task"])
def test_an_extractor_returns_one_list_per_response(
    tmp_path: Path, install: Callable[[HFPolicy], HFPolicy], name: str
) -> None:
    install(Scripted(lambda _before, _answer: 0.5, rationale=lambda _asked, _draw: "- red is warm\n- blue is cold"))
    extractor: Any = examples(tmp_path)["extractor"][name]
    prompt = Colours().prompts()[0]
    texts = ["red is warm. blue is cold.", "", "green"]
    asked = [Response(prompt=prompt, text=text) for text in texts]
    found = extractor.extract(Colours(), asked, io_in(tmp_path))
    assert len(found) == 3
    assert found[1] == []
    assert all(found[0]) and all(found[2])
    for text, claims in zip(texts, found, strict=True):
        for claim in claims:
            assert claim.start is None or 0 <= claim.start < claim.end <= len(text)
    again = extractor.extract(Colours(), asked[2:], io_in(tmp_path))
    assert again == found[2:]


def test_atomic_facts_are_the_items_of_a_list_each_once(
    tmp_path: Path, install: Callable[[HFPolicy], HFPolicy]
) -> None:
    policy = Scripted(
        lambda _before, _answer: 0.5,
        rationale=lambda asked, _draw: (
            "no list" if "Unclear" in asked.split("Sentence: ")[-1] else "1. a\n 2) b \n- a\n\nx"
        ),
    )
    install(policy)
    text = "It is so. I don't know the rest. Unclear. It is so."
    extractor = AtomicFacts.model_validate({"policy": LABELLER})
    (found,) = extractor.extract(Colours(), [Response(prompt=Colours().prompts()[0], text=text)], io_in(tmp_path))
    assert [(claim.text, text[claim.start : claim.end]) for claim in found] == [
        ("a", "It is so."),
        ("b", "It is so."),
        ("Unclear.", "Unclear."),
    ]
    # A sentence that stands twice is asked about once, and one that declines not at all.
    assert len(policy.asked) == 2
    assert all(decoding.temperature == 0 for decoding in policy.decodings)
    assert facts_in("nothing") == []


def test_a_prompt_file_of_ones_own(tmp_path: Path, install: Callable[[HFPolicy], HFPolicy]) -> None:
    policy = Scripted(lambda _before, _answer: 0.5, rationale=lambda _asked, _draw: "- a")
    install(policy)
    file = tmp_path / "mine.txt"
    file.write_text("Split {sentence}", encoding="utf-8")
    fields = {"policy": LABELLER, "path": str(file), "digest": digest_of_file(file)}
    response = Response(prompt=Colours().prompts()[0], text="{sentence} stays.")
    AtomicFacts.model_validate(fields).extract(Colours(), [response], io_in(tmp_path))
    assert policy.asked == ["Split {sentence} stays."]
    file.write_text("Split {it}", encoding="utf-8")
    with pytest.raises(DataError, match="has changed"):
        AtomicFacts.model_validate(fields).extract(Colours(), [response], io_in(tmp_path))
    with pytest.raises(DataError, match=r"has the places \{it\}, wanted \{sentence\}"):
        AtomicFacts.model_validate({**fields, "digest": digest_of_file(file)}).extract(
            Colours(), [response], io_in(tmp_path)
        )


def test_tasks_that_do_not_know_are_refused(tmp_path: Path) -> None:
    TaskClaims().check(Colours())
    Exact().check(Colours())
    for plugin in (TaskClaims(), Exact()):
        with pytest.raises(BenchError, match="task silent does not know"):
            plugin.check(Silent())
    with pytest.raises(BenchError, match="Use another extractor"):
        Silent().claims(Colours().prompts()[0], "x")
    with pytest.raises(BenchError, match="Use another verifier"):
        Silent().support(Colours().prompts()[0], "x")


def asked(claim: str, *passages: Passage) -> Asked:
    return Asked(prompt=Colours().prompts()[0], claim=claim, passages=passages)


def test_true_or_false_reads_the_passages(tmp_path: Path, install: Callable[[HFPolicy], HFPolicy]) -> None:
    policy = Scripted(lambda before, answer: 0.8 if (answer.strip() == "True") == ("Text: Rome" in before) else 0.1)
    install(policy)
    verifier = TrueOrFalse.model_validate({"policy": LABELLER})
    found = verifier.verify(Colours(), [asked("x", PAGES[1]), asked("x", PAGES[0]), asked("x")], io_in(tmp_path))
    assert [one.label for one in found] == ["supported", "not_supported", "not_supported"]
    assert found[0].evidence == "P(True) = 0.889 after Rome"
    assert found[2].evidence.endswith("no passage")
    assert "Statement in an answer: x" in policy.scored[0]
    assert verifier.verify(Colours(), [], io_in(tmp_path)) == []


def test_true_or_false_with_impossible_answers(tmp_path: Path, install: Callable[[HFPolicy], HFPolicy]) -> None:
    install(Scripted(lambda _before, _answer: 0.0))
    (found,) = TrueOrFalse.model_validate({"policy": LABELLER}).verify(Colours(), [asked("x")], io_in(tmp_path))
    assert (found.label, found.evidence) == ("not_supported", "both answers are impossible to the verifier")


def test_inference_takes_the_best_passage_and_no_batch_changes_it(tmp_path: Path) -> None:
    fields = classifier(tmp_path / "classifier", seed=3)
    long = Passage(title="Long", text=" ".join(["paris is big"] * 30))
    questions = [asked("rome is big", *PAGES), asked("paris is the capital", PAGES[0], long), asked("a city")]
    found = Inference(**fields).verify(Colours(), questions, io_in(tmp_path))
    single = Inference(**fields, batch_size=1)
    alone = [single.verify(Colours(), [one], io_in(tmp_path))[0] for one in questions]
    assert [(one.label, one.evidence) for one in alone] == [(one.label, one.evidence) for one in found]
    assert found[2] == Finding(label="not_supported", evidence="entailed with 0.000 by no passage")
    # Which label is entailment comes from the configuration: another one turns the findings round.
    labels = {number: f"other {number}" for number in range(3)}
    likeliest = {number for number in range(3) if _labelled(tmp_path, number, labels, questions[:2])}
    assert likeliest


def test_what_a_claim_spells_is_text_to_the_models_that_read_it(tmp_path: Path) -> None:
    fields = classifier(tmp_path / "classifier", seed=3)
    questions = [asked(f"rome is {mark} the capital", PAGES[0]) for mark in ("<sep>", "< sep>", "sea")]
    spelt, apart, other = Inference(**fields).verify(Colours(), questions, io_in(tmp_path))
    assert spelt.evidence == apart.evidence != other.evidence
    dense = encoder(tmp_path / "encoder", BertModel)
    texts = [f"rome is {mark} big" for mark in ("<sep>", "< sep>", "<cls>", "< cls>", "sea")]
    vectors = embeddings(dense["path"], dense["digest"], texts, io_in(tmp_path))
    assert torch.equal(vectors[0], vectors[1])
    assert torch.equal(vectors[2], vectors[3])
    assert not torch.equal(vectors[0], vectors[4])


def _labelled(folder: Path, number: int, labels: dict[int, str], questions: list[Asked]) -> bool:
    """Tell whether anything is supported when the label of that number is entailment."""
    fields = encoder(
        folder / f"c{number}", BertForSequenceClassification, seed=3, num_labels=3,
        id2label={**labels, number: "entails"},
    )  # fmt: skip
    return any(one.label == "supported" for one in Inference(**fields).verify(Colours(), questions, io_in(folder)))


def test_a_model_without_entailment_is_refused() -> None:
    with pytest.raises(StageError, match="none of them, or more than one, begins with 'entail'"):
        entailment_place({0: "LABEL_0", 1: "LABEL_1"}, "here")
    assert entailment_place({0: "a", 1: "ENTAILMENT"}, "here") == 1


def test_a_changed_model_is_refused(tmp_path: Path) -> None:
    fields = classifier(tmp_path / "classifier")
    (tmp_path / "classifier" / "more.txt").write_text("x")
    with pytest.raises(StageError, match="has changed"):
        Inference(**fields).verify(Colours(), [asked("x", PAGES[0])], io_in(tmp_path))


@pytest.mark.parametrize("name", ["bm25", "dense"])
def test_a_retriever_finds_the_nearest_in_a_fixed_order(tmp_path: Path, name: str) -> None:
    retriever: Any = examples(tmp_path)["retriever"][name]
    places = []
    for number in range(2):
        io = io_in(tmp_path / str(number))
        io.out.mkdir()
        retriever.build(PAGES, io)
        places.append(io.out)
    files = [{file.name: file.read_bytes() for file in place.rglob("*") if file.is_file()} for place in places]
    assert files[0] == files[1]
    questions = [f"{page.title}. {page.text}" for page in PAGES]
    found = retriever.nearest(places[0], questions, 2, io_in(tmp_path))
    assert [row[0] for row in found] == [0, 1, 2]
    assert all(len(row) == 2 for row in found[:2])
    assert retriever.nearest(places[0], [], 2, io_in(tmp_path)) == []
    assert retriever.nearest(places[0], questions[1:], 1, io_in(tmp_path)) == [[1], [2]]


def test_the_highest_scores_come_in_a_fixed_order() -> None:
    assert highest([1, 3, 2, 3, 0], 3) == [1, 3, 2]
    assert highest([1, 1, 1, 1], 2) == [0, 1]
    assert highest([2, 5], 7) == [1, 0]
    assert highest([], 3) == []


def test_bm25_by_hand(tmp_path: Path) -> None:
    io = io_in(tmp_path)
    BM25().build([Passage(title="x", text=text) for text in ("a b", "a c c", "d")], io)
    found = BM25().nearest(tmp_path, ["c", "a", "z", "D!"], 5, io)
    # "a" stands in the shorter of two passages; an unknown word finds nothing, capitals do not matter.
    assert found == [[1], [0, 1], [], [2]]


def test_pages_of_every_form(tmp_path: Path) -> None:
    rows = [{"title": "a", "text": "one"}, {"title": "b", "text": "two####SPECIAL####SEPARATOR####<s>three</s>"}]
    jsonl = tmp_path / "pages.jsonl"
    jsonl.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    base = tmp_path / "pages.db"
    with closing(sqlite3.connect(base)) as file:
        file.execute("CREATE TABLE documents (title PRIMARY KEY, text)")
        file.executemany("INSERT INTO documents VALUES (?, ?)", [(row["title"], row["text"]) for row in rows[::-1]])
        file.commit()
    expected = [(row["title"], row["text"]) for row in rows]
    for path in (jsonl, base):
        assert list(pages_in(PagesFile(path=str(path), digest=digest_of_file(path)))) == expected
    assert cut(rows[1]["text"], 1) == ["two", "three"]
    assert cut("a b c d e", 2) == ["a b", "c d", "e"]
    assert cut(" ", 2) == []
    with pytest.raises(DataError, match="has changed"):
        list(pages_in(PagesFile(path=str(jsonl), digest="0")))
    jsonl.write_text('{"title": "a"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 1: no column .text."):
        list(pages_in(PagesFile(path=str(jsonl), digest=digest_of_file(jsonl))))
    base.write_bytes(b"no data base")
    with pytest.raises(DataError, match="cannot be read as SQLite"):
        list(pages_in(PagesFile(path=str(base), digest=digest_of_file(base))))


def test_a_world_is_pages_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    index = IndexPassages(source=WorldPages(world=Atlas()), retriever=BM25(), words=256)
    rows = pq.read_table(bench.payload(index) / PASSAGES).to_pylist()
    assert len(rows) == 248
    assert all(row["text"] for row in rows)


def test_the_whole_way_with_passages(tmp_path: Path, install: Callable[[HFPolicy], HFPolicy]) -> None:
    bench = Bench(tmp_path)
    file = tmp_path / "pages.jsonl"
    file.write_text("".join(json.dumps(page.model_dump()) + "\n" for page in PAGES), encoding="utf-8")
    answers = Generate(policy=pretrained(tmp_path / "model"), task=Colours(), draws=2, seed=0)
    factuality = Factuality(
        tasks=("colours",),
        extractor=Sentences(),
        verifier=TrueOrFalse.model_validate({"policy": LABELLER}),
        knowledge=Knowledge(
            source=PagesFile(path=str(file), digest=digest_of_file(file)), retriever=BM25(), passages=1
        ),
    )
    bench.payload(answers)
    install(Scripted(lambda _before, answer: 0.8 if answer.strip() == "True" else 0.1))
    stage = checked(answers, factuality)
    payload = bench.payload(stage)
    assert stage.passages is not None
    claims = pq.read_table(payload / PAYLOAD).to_pylist()
    assert {row["label"] for row in claims} <= {"supported"}
    assert pq.read_table(bench.payload(stage.passages) / NEAREST).schema.names[:3] == ["prompt", "draw", "index"]
    counts = pq.read_table(payload / COUNTS).to_pylist()
    assert [(row["prompt"], row["draw"]) for row in counts] == [("one", 0), ("one", 1), ("two", 0), ("two", 1)]
    assert sum(row["supported"] for row in counts) == len(claims)
    assert bench.ios[stage.key].meter.judgements == len(claims)


def test_counts_are_those_of_the_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path)
    answers = Generate(policy=LABELLER, task=Colours(), draws=1, seed=0)
    texts = {"one": "red um blue red", "two": ""}

    def written(_io: StageIO, _generation: Generate) -> list[dict[str, Any]]:
        return [{"prompt": name, "draw": 0, "text": text, "finish": "end"} for name, text in texts.items()]

    monkeypatch.setattr("bench.evaluation.measurements.factuality.extract.read_rows", written)
    monkeypatch.setattr("bench.evaluation.measurements.factuality.verification.read_rows", written)
    stage = CheckClaims(claims=ExtractClaims(responses=answers, extractor=TaskClaims()), verifier=Exact())
    rows = pq.read_table(bench.payload(stage) / COUNTS).to_pylist()
    assert rows == [
        {"prompt": "one", "draw": 0, "supported": 2, "not_supported": 1, "irrelevant": 1},
        {"prompt": "two", "draw": 0, "supported": 0, "not_supported": 0, "irrelevant": 0},
    ]


class Wrong(Sentences):
    """Breaks the contract on purpose."""

    how: str

    def extract(self, task: Task, responses: Sequence[Response], io: StageIO) -> list[list[Claim]]:
        if self.how == "short":
            return []
        return [[Claim(text="x", start=3, end=99)] for _ in responses]


@pytest.mark.parametrize(("how", "told"), [("short", "claims of 0 responses out of 2"), ("place", "no stretch")])
def test_a_wrong_extractor_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, told: str) -> None:
    rows = [{"prompt": name, "draw": 0, "text": "abc", "finish": "end"} for name in ("one", "two")]
    monkeypatch.setattr("bench.evaluation.measurements.factuality.extract.read_rows", lambda _io, _generation: rows)
    answers = Generate(policy=LABELLER, task=Colours(), draws=1, seed=0)
    with pytest.raises(StageError, match=told):
        ExtractClaims(responses=answers, extractor=Wrong(how=how)).run(io_in(tmp_path))


def test_a_verifier_that_reads_passages_needs_them(tmp_path: Path) -> None:
    answers = Generate(policy=LABELLER, task=Colours(), draws=1, seed=0)
    verifier = TrueOrFalse.model_validate({"policy": LABELLER})
    stage = CheckClaims(claims=ExtractClaims(responses=answers, extractor=TaskClaims()), verifier=verifier)
    with pytest.raises(StageError, match="verifier likelihood reads the passages"):
        stage.run(io_in(tmp_path))
