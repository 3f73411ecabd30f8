"""The editor's schema knows every plug-in that is there; the template loads as it stands."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.config.comparison import Common, Criterion, Evaluation, Factuality, GateSettings, StatisticsSettings
from bench.config.fields.named_plugins import settable
from bench.config.load import ROOT_KEYS, load_comparison
from bench.config.schema import REFERENCE, json_schema
from bench.config.sections.evaluate import EVALUATE_KEYS
from bench.config.template import new_comparison
from bench.core.errors import BenchError
from bench.core.plugins import EXTRACTOR, JUDGE, METHOD, RETRIEVER, TASK, VERIFIER, WORLD, listing
from tests.config.conftest import WEIGHTS
from tests.models.test_gguf import header as gguf_file

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json_schema()


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_it_is_json_and_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    again = json.loads(json.dumps(schema, allow_nan=False))
    found = {reference.removeprefix(REFERENCE) for reference in references(again)}
    assert found == set(schema["$defs"])


def test_sections_have_the_keys_that_the_loader_knows(schema: dict[str, Any]) -> None:
    sections = schema["properties"]
    assert set(sections) == set(ROOT_KEYS)
    assert set(sections["given"]["properties"]) == set(Common.model_fields)
    assert set(sections["statistics"]["properties"]) == set(StatisticsSettings.model_fields)
    plain, whole = sections["gate"]["anyOf"]
    assert set(plain["items"]["properties"]) == set(Criterion.model_fields)
    assert set(whole["properties"]) == {"criteria", *GateSettings.model_fields}
    assert whole["properties"]["criteria"] == plain
    assert set(sections["evaluate"]["properties"]) == set(EVALUATE_KEYS)
    assert sections["statistics"]["properties"]["level"]["default"] == 0.95


def test_every_method_is_there_with_its_fields(schema: dict[str, Any]) -> None:
    entries = listing(METHOD)
    assert set(schema["properties"]["methods"]["properties"]) == set(entries)
    for name, entry in entries.items():
        arm = schema["$defs"][f"method.{name}"]
        if entry.cls.SPREAD is not None:  # it has the keys of a policy, in each of a policy's forms
            forms = arm["anyOf"][:4]
            assert all({"method", "replicate", "lora"} < set(form["properties"]) for form in forms)
            assert [form["required"] for form in forms] == [["adapter"], ["gguf"], ["path"], ["repo", "revision"]]
            continue
        assert set(arm["properties"]) == {"method", "replicate", "lora", "start", "reference", *settable(entry.cls)}
        assert arm["description"] == entry.about
        for field, info in entry.cls.model_fields.items():
            if info.default is not None and isinstance(info.default, bool | int | float | str):
                assert arm["properties"][field]["default"] == info.default


def test_every_plug_in_of_the_evaluation_is_there_without_what_is_computed(schema: dict[str, Any]) -> None:
    found = (
        ("task", listing(TASK)),
        ("judge", listing(JUDGE)),
        ("extractor", listing(EXTRACTOR)),
        ("retriever", listing(RETRIEVER)),
        ("verifier", listing(VERIFIER)),
    )
    for word, entries in found:
        for name, entry in entries.items():
            fields = set(schema["$defs"][f"{word}.{name}"]["properties"])
            computed = {"digest"} if {"path", "digest"} <= set(entry.cls.model_fields) else set()
            if name == "reward_model":
                computed |= {"by"}
            assert fields == {word, *entry.cls.model_fields} - computed


def test_every_world_is_there(schema: dict[str, Any]) -> None:
    assert schema["properties"]["given"]["properties"]["base"] == {"$ref": f"{REFERENCE}policy"}
    forms = schema["$defs"]["policy"]["anyOf"]
    named = {form["properties"]["world"]["const"] for form in forms if "const" in form["properties"].get("world", {})}
    assert named == set(listing(WORLD))


def test_the_template_loads(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "comparison.yaml").write_text(new_comparison("results/mine"))
    found = load_comparison(tmp_path / "mine")
    assert found.name == "mine"
    assert found.repeats("dpo_again", "dpo")
    assert ("dpo", "sft") in found.evaluation.contrasts
    assert found.gate[0].method == "dpo"


EXAMPLE = re.compile(r"^( *)# (- \{.*|[a-z_]+: .*)$")  # a commented line of the template, without its comment
EXAMPLES = [row for row in new_comparison("mine").splitlines()[1:] if EXAMPLE.fullmatch(row)]


def with_example(text: str, chosen: str) -> str:
    """Return the template with one of its commented lines in force, in the place of a line with the same key."""
    found = EXAMPLE.fullmatch(chosen)
    assert found is not None
    indent, line = found.groups()
    rows = text.splitlines()
    key = f"{indent}{line.partition(':')[0]}:"
    replaced = [] if line.startswith("- ") else [row for row in rows if row.startswith(key)]
    return "\n".join(indent + line if row == chosen else row for row in rows if row not in replaced)


@pytest.mark.parametrize("chosen", EXAMPLES)
def test_every_commented_line_of_the_template_loads(chosen: str, tmp_path: Path) -> None:
    folder, model = tmp_path / "results" / "mine", tmp_path / "models" / "mine"
    for made in (folder, model):
        made.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(WEIGHTS + b"a")
    gguf_file(model.with_suffix(".gguf"), {"general.architecture": "llama"})
    rows = {"rows": {"question": "a", "answer": "b"}, "pairs": {"prompt": "a", "chosen": "b", "rejected": "c"}}
    for name, row in rows.items():
        (folder / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    shutil.copy(ROOT / "tests" / "core" / "stubs" / "floor.py", folder / "my_method.py")
    text = new_comparison("mine")
    if "tax:" in chosen:
        text = with_example(text, next(row for row in EXAMPLES if "lm_eval:" in row))
    (folder / "comparison.yaml").write_text(text)
    before = load_comparison(folder)
    (folder / "comparison.yaml").write_text(with_example(text, chosen))
    assert load_comparison(folder) != before


@pytest.mark.parametrize("name", ["", "two words", "a:b", "-x", "x\ny", "..", "a\x1b/x"])
def test_a_name_that_no_folder_can_have(name: str) -> None:
    with pytest.raises(BenchError):
        new_comparison(name)


def test_every_comparison_that_ships_loads(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIGNMENT_BENCH_DATA", str(real_data))
    files = sorted((ROOT / "results").glob("*/comparison.yaml"))
    assert files
    for file in files:
        assert load_comparison(file).arms


def test_fields_are_described_as_their_model_does(schema: dict[str, Any]) -> None:
    given = schema["properties"]["given"]["properties"]
    evaluate = schema["properties"]["evaluate"]["properties"]
    found = {
        (Common, "labeller"): given["labeller"],
        (Common, "lora"): given["lora"],
        (Common, "seeds"): given["seeds"],
        (Evaluation, "ratings"): evaluate["ratings"],
        (Evaluation, "divergence"): evaluate["divergence"],
        (Evaluation, "gap_closed"): evaluate["gap_closed"],
        (Evaluation, "tax"): evaluate["tax"],
        (Evaluation, "length_control"): evaluate["win_rate"]["properties"]["length_control"],
        (Evaluation, "retest"): evaluate["win_rate"]["properties"]["retest"],
        (Factuality, "knowledge"): evaluate["factuality"]["properties"]["knowledge"],
    }
    for (cls, name), part in found.items():
        assert part["description"] == cls.model_fields[name].description


def test_a_key_of_given_is_left_out_and_never_null(schema: dict[str, Any]) -> None:
    for part in schema["properties"]["given"]["properties"].values():
        assert {"type": "null"} not in part.get("anyOf", [])
        assert part.get("default", "none") is not None
