"""Frozen values: identity by content, a JSON form, and no way around either."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.core.errors import BenchError
from bench.core.frozen import Frozen, decode, digest, encode, identity, load_file, locate
from bench.core.policy import Built, Pretrained, Tuned
from bench.core.stage import Stage, StageIO, stages_in
from tests.fakes import Number, Sum

ROOT = Path(__file__).resolve().parents[2]


class Point(Frozen):
    x: int = 1
    y: float = 2
    note: str | None = None
    file: str = ""

    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"file"})


def test_values_cannot_change_and_know_their_fields() -> None:
    point = Point()
    with pytest.raises(ValidationError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Point(z=3)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        Point(y=float("nan"))


def test_locations_are_not_identity_and_defaults_are() -> None:
    assert digest(Point(file="a")) == digest(Point(file="b"))
    assert digest(Point(y=2)) == digest(Point(y=2.0)) == digest(Point())
    assert digest(Point(x=2)) != digest(Point())
    assert digest(Point(note="")) != digest(Point(note=None))


def test_a_field_that_came_later_counts_where_it_is_not_its_default() -> None:
    class Later(Point):
        unit: str | None = None
        marks: tuple[str, ...] = ()

        ADDED: ClassVar[frozenset[str]] = frozenset({"unit", "marks"})

    before = {name: item for name, item in identity(Point()).items() if name != "type"}
    assert before == {name: item for name, item in identity(Later()).items() if name != "type"}
    assert len({digest(Later()), digest(Later(unit="m")), digest(Later(unit="")), digest(Later(marks=("a",)))}) == 4
    assert Later(unit="m").identifying() == ["note", "unit", "x", "y"]


def test_a_copy_is_validated_and_has_its_own_key(tmp_path: Path) -> None:
    number = Number(value=1, journal="j")
    before = number.key
    changed = number.model_copy(update={"value": 2})
    assert changed.key != before
    assert changed.key == Number(value=2, journal="j").key
    with pytest.raises(ValidationError):
        number.model_copy(update={"value": "many"})


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine draws slowly
@given(values, values)
def test_different_values_have_different_identities(one: Any, other: Any) -> None:
    same = json.dumps(identity(one), sort_keys=True) == json.dumps(identity(other), sort_keys=True)
    assert same == (typed(one) == typed(other))


def typed(value: Any) -> Any:
    """Return a form in which True, 1 and 1.0 differ, and 0.0 and -0.0 too."""
    if isinstance(value, dict):
        return {"map": {key: typed(item) for key, item in value.items()}}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return (type(value).__name__, value.hex() if isinstance(value, float) else value)


@pytest.mark.parametrize("value", [object(), {1: 2}, float("inf"), Path("x"), {1, 2}, b"x"])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        identity(value)


def test_a_key_survives_json_in_another_process() -> None:
    number = Number(value=1, journal="j", seconds=0.25)
    policy = Tuned(base=Pretrained(path="/somewhere", digest="d" * 64), by=Sum(parts=(number,)))
    stage = Sum(parts=(number, Sum(parts=(Number(value=2, journal="k"),)), *stages_in(policy)))
    code = (
        "import json, sys; from bench.core.frozen import decode, encode; stage = decode(json.load(sys.stdin));"
        "print(stage.key, json.dumps(encode(stage), sort_keys=True))"
    )
    text = json.dumps(encode(stage))
    done = subprocess.run(
        [sys.executable, "-c", code], input=text, capture_output=True, text=True, cwd=ROOT, check=True, timeout=60
    )
    key, _, form = done.stdout.strip().partition(" ")
    assert key == stage.key
    assert json.loads(form) == json.loads(text)
    assert decode(json.loads(text)) == stage


def test_kind_and_version_are_in_the_key() -> None:
    class One(Stage):
        KIND: ClassVar[str] = "test/one"
        VERSION: ClassVar[int] = 1

        def run(self, io: StageIO) -> None: ...

    class Raised(One):
        VERSION: ClassVar[int] = 2

    class Renamed(One):
        KIND: ClassVar[str] = "test/other"

    class SameUnderAnotherName(One):
        pass

    assert len({One().key, Raised().key, Renamed().key}) == 3
    assert SameUnderAnotherName().key == One().key


def test_a_stage_inside_a_stage_counts_by_its_key() -> None:
    a, b = Number(value=1, journal="j"), Number(value=2, journal="j")
    assert Sum(parts=(a, b)).key != Sum(parts=(b, a)).key
    assert Sum(parts=(a, b)).inputs() == (a, b)
    assert [stage.key for stage in stages_in(Built(by=Sum(parts=(a,))))] == [Sum(parts=(a,)).key]


def test_a_class_beside_a_comparison_has_its_text_in_the_key(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    text = (
        "from typing import ClassVar\nfrom bench.core.stage import Stage\n"
        "class Mine(Stage):\n    KIND: ClassVar[str] = 'mine'\n    VERSION: ClassVar[int] = 1\n"
        "    def run(self, io):\n        pass\n"
    )
    file.write_text(text)
    first = load_file(file).Mine()
    form = encode(first)
    assert decode(form).key == first.key
    file.write_text(text + "# changed\n")
    assert load_file(file).Mine().key != first.key


@pytest.mark.parametrize(
    "where", ["bench.nowhere:Thing", "bench.core.errors:BenchError", "bench.engine.store:Nothing", "file:/no.py:X"]
)
def test_an_address_of_nothing_is_an_error(where: str) -> None:
    with pytest.raises(BenchError):
        locate(where)
