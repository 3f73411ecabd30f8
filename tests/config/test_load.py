"""Right comparison files: what each key does, and that no key does nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.config.comparison import Comparison
from bench.config.load import load_comparison
from bench.config.sections.evaluate import contrasts_of
from bench.core.data import Data, Made
from bench.core.errors import ConfigError, DataError
from bench.core.files import digest_of_folder
from bench.core.frozen import digest, digest_of_file
from bench.core.policy import Built, Pretrained, computed_in
from bench.core.row_formats.reading import first_rows
from tests.config.conftest import RIGHT


def load(folder: Path, text: str, *overrides: str) -> Comparison:
    (folder / "comparison.yaml").write_text(text, encoding="utf-8")
    return load_comparison(folder, overrides=overrides)


def test_everything_arrives(place: Path) -> None:
    found = load(place, RIGHT)
    assert found.question == "Which is best?"
    assert found.path == str((place / "comparison.yaml").resolve())
    assert isinstance(found.given.base, Built)
    assert isinstance(found.given.preferences, Data)
    assert found.given.preferences.digest == digest_of_file(place / "pairs.jsonl")
    assert found.given.preferences.columns == {"chosen": "better"}
    assert found.given.lora is not None and found.given.lora.rank == 4
    assert found.given.seeds == (0, 1)
    assert [arm.name for arm in found.arms] == ["floor", "tuned", "again"]
    assert found.arm("tuned").method.model_dump()["beta"] == 0.2
    assert found.arm("tuned").lora == found.given.lora
    assert found.repeats("again", "tuned")
    assert [task.NAME for task in found.evaluation.tasks] == ["questions", "from_file"]
    assert found.evaluation.tasks[1].model_dump()["digest"] == digest_of_file(place / "prompts.txt")
    assert [named.label for named in found.evaluation.judges] == ["stub_judge", "stub_strict"]
    assert found.evaluation.contrasts == (("tuned", "floor"), ("again", "floor"), ("again", "tuned"))
    assert found.statistics.level == 0.9
    assert [line.metric for line in found.gate] == ["win_rate", "accuracy"]


def test_a_column_that_rows_need_not_have_may_be_left_unread(place: Path) -> None:
    text = RIGHT.replace("{chosen: better}", "{chosen: better, margin: null, probability: null}")
    data = load(place, text).given.preferences
    assert isinstance(data, Data)
    assert data.columns == {"chosen": "better", "margin": None, "probability": None}
    with pytest.raises(ConfigError, match=r"every row needs 'rejected'.*rejected: null"):
        load(place, RIGHT.replace("{chosen: better}", "{chosen: better, rejected: null}"))


def test_the_same_file_gives_the_same_value_and_survives_json(place: Path) -> None:
    first, second = load(place, RIGHT), load_comparison(place / "comparison.yaml")
    assert first == second
    assert digest(first) == digest(second)


def test_the_identity_of_a_model_is_its_bytes_not_its_place(place: Path) -> None:
    text = RIGHT.replace("world: ./world.py\n    size: small", "path: whole")
    base = load(place, text).given.base
    assert isinstance(base, Pretrained) and base.digest == digest_of_folder(place / "whole")
    (place / "whole").rename(place / "moved")
    assert digest(load(place, text.replace("whole", "moved")).given.base) == digest(base)


def test_a_hub_model(place: Path) -> None:
    text = RIGHT.replace("world: ./world.py\n    size: small", "repo: org/name\n    revision: v1\n    dtype: bfloat16")
    assert load(place, text).given.base == Pretrained(repo="org/name", revision="v1", dtype="bfloat16")


def test_what_is_computed_in_and_what_weights_are_stored_in(place: Path) -> None:
    small = "small:\n    path: whole\n    dtype: float32\n  "
    text = RIGHT.replace("  seeds:", f"  {small}dtype: bfloat16\n  keep: bfloat16\n  seeds:", 1)
    given = load(place, text).given
    assert computed_in(given.base) == "bfloat16"
    assert computed_in(given.small) == "float32"  # it says so itself
    assert given.keep == "bfloat16"
    own = load(place, RIGHT.replace("size: small", "size: small\n    dtype: bfloat16", 1)).given
    assert computed_in(own.base) == "bfloat16" and own.keep == "float32"


def test_lora_none_and_arms_of_their_own(place: Path) -> None:
    text = RIGHT.replace("lora:\n    rank: 4", "lora: none").replace("beta: 0.2", "beta: 0.2\n    lora: {rank: 2}", 1)
    text = text.replace("replicate: second", "replicate: second\n    lora: {rank: 2}")
    found = load(place, text)
    assert found.given.lora is None and found.arm("floor").lora is None
    assert found.arm("tuned").lora is not None
    assert found.repeats("again", "tuned")


def test_world_data(place: Path) -> None:
    text = RIGHT.replace("    path: demos.jsonl", "    world: ./world.py\n    split: preferences\n    limit: 7")
    data = load(place, text).given.demonstrations
    assert isinstance(data, Made) and data.limit == 7


def test_an_empty_arm_takes_the_defaults(place: Path) -> None:
    text = RIGHT.replace("    beta: 0.2\n", "")
    assert load(place, text).arm("tuned").method.model_dump()["beta"] == 0.1


class TestContrasts:
    def arms(self, place: Path, text: str = RIGHT) -> Any:
        return load(place, text).arms

    def test_without_a_win_rate_the_first_arm_is_the_baseline(self, place: Path) -> None:
        start, end = RIGHT.index("  win_rate:"), RIGHT.index("  contrasts:")
        text = RIGHT[:start] + RIGHT[end:].replace("[tuned, floor]", "[again, floor]")
        found = load(place, text[: text.index("gate:")])
        assert found.evaluation.contrasts == (("tuned", "floor"), ("again", "floor"), ("again", "tuned"))
        assert found.evaluation.judges == ()

    def test_a_pair_asked_for_the_other_way_round_is_turned(self, place: Path) -> None:
        arms = self.arms(place)
        found = contrasts_of(arms, "floor", [("floor", "tuned")], [])
        assert found == (("floor", "tuned"), ("again", "floor"), ("again", "tuned"))

    def test_the_gate_adds_its_pair(self, place: Path) -> None:
        text = RIGHT.replace("versus: floor\n    orders", "versus: tuned\n    orders")
        assert ("tuned", "floor") in load(place, text).evaluation.contrasts

    def test_no_pair_stands_twice(self, place: Path) -> None:
        arms = self.arms(place)
        found = contrasts_of(arms, "tuned", [("again", "tuned")], [("again", "tuned"), ("floor", "tuned")])
        assert found == (("floor", "tuned"), ("again", "tuned"))


class TestText:
    def test_yaml_1_2_scalars(self, place: Path) -> None:
        text = RIGHT.replace("beta: 0.2", "beta: 2e-1").replace("value: 100", "value: 1_000")
        text = (
            text.replace("  floor:\n", "  no:\n")
            .replace("versus: floor", "versus: no")
            .replace("[tuned, floor]", "[no, tuned]")
        )
        found = load(place, text)
        assert found.arms[0].name == "no"
        assert found.arm("tuned").method.model_dump()["beta"] == 0.2
        assert found.given.budget is not None and found.given.budget.value == 1000

    def test_anchors_and_merges(self, place: Path) -> None:
        text = RIGHT.replace(
            "  tuned:\n    method: ./tuned.py\n    beta: 0.2", "  tuned: &t\n    method: ./tuned.py\n    beta: 0.2"
        )
        text = text.replace("  again:\n    method: ./tuned.py\n    beta: 0.2", "  again:\n    <<: *t")
        assert load(place, text) == load(place, RIGHT)
        text = text.replace("<<: *t", "<<: *t\n    beta: 0.3").replace("    replicate: second\n", "")
        assert load(place, text).arm("again").method.model_dump()["beta"] == 0.3

    def test_a_merged_value_is_blamed_where_it_stands(self, place: Path) -> None:
        text = RIGHT.replace(
            "  tuned:\n    method: ./tuned.py\n    beta: 0.2", "  tuned: &t\n    method: ./tuned.py\n    beta: -2"
        )
        text = text.replace("  again:\n    method: ./tuned.py\n    beta: 0.2", "  again:\n    <<: *t")
        with pytest.raises(ConfigError) as caught:
            load(place, text)
        assert [problem.where for problem in caught.value.problems] == [
            "comparison.yaml:23 methods.tuned.beta",
            "comparison.yaml:23 methods.again.beta",
        ]

    def test_variables(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BENCH_TEST_DIR", str(place))
        monkeypatch.setenv("BENCH_TEST_BETA", "0.2")
        text = RIGHT.replace("path: demos.jsonl", 'path: "${BENCH_TEST_DIR}/demos.jsonl"')
        text = text.replace("beta: 0.2", "beta: ${BENCH_TEST_BETA}").replace("rank: 4", "rank: ${BENCH_TEST_RANK:-4}")
        assert load(place, text) == load(place, RIGHT)
        text = RIGHT.replace("Which is best?", "What is $${HOME}?")
        assert load(place, text).question == "What is ${HOME}?"


class TestExtends:
    @pytest.fixture
    def child(self, place: Path) -> Path:
        (place / "comparison.yaml").write_text(RIGHT)
        (place / "child").mkdir()
        return place / "child"

    def test_mappings_are_merged_and_lists_replaced(self, child: Path) -> None:
        text = (
            "extends: ../comparison.yaml\ngiven: {seeds: [7]}\nmethods:\n  tuned: {epochs: 4}\n  again: {epochs: 4}\n"
        )
        found = load(child, text)
        assert found.name == "child"
        assert found.given.seeds == (7,)
        assert found.arm("tuned").method.model_dump()["beta"] == 0.2
        assert found.arm("tuned").method.model_dump()["epochs"] == 4
        # Paths start from the folder of the file in which they stand.
        assert isinstance(found.given.preferences, Data)
        assert found.given.preferences.path == str((child.parent / "pairs.jsonl").resolve())

    def test_a_folder_and_a_chain(self, child: Path) -> None:
        (child / "middle.yaml").write_text("extends: ..\nquestion: Middle?\n")
        found = load(child, "extends: middle.yaml\nstatistics: {level: 0.8}\n")
        assert (found.question, found.statistics.level, found.statistics.correction) == ("Middle?", 0.8, "holm")

    def test_another_source_replaces_the_whole_mapping(self, child: Path) -> None:
        found = load(child, "extends: ../comparison.yaml\ngiven:\n  base: {path: ../whole}\n")
        assert isinstance(found.given.base, Pretrained)
        with pytest.raises(ConfigError, match=r"comparison.yaml:3 methods.tuned.beta: unknown key 'beta'"):
            load(child, "extends: ../comparison.yaml\nmethods:\n  tuned: {method: ../floor.py, beta: 1}\n")

    def test_lines_keep_their_file(self, child: Path) -> None:
        (child.parent / "comparison.yaml").write_text(RIGHT.replace("level: 0.9", "level: 9"))
        with pytest.raises(ConfigError) as caught:
            load(child, "extends: ../comparison.yaml\ngiven:\n  max_length: 0\n")
        assert [problem.where for problem in caught.value.problems] == [
            "child/comparison.yaml:3 given.max_length",
            "comparison.yaml:45 statistics.level",
        ]


class TestOverrides:
    def test_values_are_yaml(self, place: Path) -> None:
        found = load(place, RIGHT, "given.seeds=[3, 4]", "statistics.resamples=300", "question=Why?")
        assert (found.given.seeds, found.statistics.resamples, found.question) == ((3, 4), 300, "Why?")

    def test_sections_and_arms_that_are_not_there_are_added(self, place: Path) -> None:
        found = load(
            place,
            RIGHT.partition("statistics:")[0],
            "statistics.level=0.8",
            "methods.more.method=./floor.py",
            "methods.more.lora=none",
        )
        assert found.statistics.level == 0.8
        assert found.arm("more").lora is None

    def test_a_place_in_a_list(self, place: Path) -> None:
        assert (
            load(place, RIGHT, "evaluate.tasks.1.path=other.txt")
            .evaluation.tasks[1]
            .model_dump()["path"]
            .endswith("other.txt")
        )

    @pytest.mark.parametrize(
        ("override", "where", "words"),
        [
            ("given.seed=[1]", "--set given.seed", "Did you mean 'seeds'?"),
            ("givne.seeds=[1]", "--set givne.seeds", "Did you mean 'given'?"),
            ("given.seeds=[1, 1]", "--set given.seeds given.seeds.1", "twice"),
            ("methods.tuned.beta=-1", "--set methods.tuned.beta", "greater than 0"),
            ("methods.tuned.beta=[1", "--set methods.tuned.beta", "not valid YAML"),
            ("methods.tuned.beta", "--set methods.tuned.beta", "KEY=VALUE"),
            ("=3", "--set =3", "KEY=VALUE"),
            ("a..b=3", "--set a..b=3", "KEY=VALUE"),
            ("question.x=3", "--set question.x", "single value"),
            ("evaluate.tasks.9=x", "--set evaluate.tasks.9", "list of 2"),
            ("evaluate.tasks.9.limit=1", "--set evaluate.tasks.9.limit", "list of 2"),
            ("extends=x.yaml", "--set extends", "cannot be overridden"),
            ("given.base={world: ./world.py, size: x}", "--set given.base given.base.size", "no size 'x'"),
            ("methods.tund.beta=0.3", "--set methods.tund.beta", "unknown method 'tund'"),
        ],
    )  # fmt: skip
    def test_a_wrong_override_is_named(self, place: Path, override: str, where: str, words: str) -> None:
        with pytest.raises(ConfigError) as caught:
            load(place, RIGHT, override)
        found = [problem for problem in caught.value.problems if problem.where == where and words in problem.what]
        assert found, str(caught.value)


class TestFiles:
    @pytest.mark.parametrize("name", ["rows.json", "rows.csv", "rows.parquet", "rows.json.gz", "rows.csv.gz"])
    def test_columns_of_every_format(self, tmp_path: Path, name: str) -> None:
        import gzip

        import pyarrow as pa
        import pyarrow.parquet as pq

        file = tmp_path / name
        text = {"json": '[{"prompt": "a", "chosen": "b"}]', "csv": "prompt,chosen\na,b\n"}.get(name.split(".")[1], "")
        if name.endswith(".parquet"):
            pq.write_table(pa.table({"prompt": ["a"], "chosen": ["b"]}), file)
        elif name.endswith(".gz"):
            file.write_bytes(gzip.compress(text.encode()))
        else:
            file.write_text(text)
        assert list(first_rows(Data(path=str(file), digest=""), name)[0]) == ["prompt", "chosen"]

    def test_empty_parquet(self, tmp_path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"prompt": pa.array([], pa.string())}), tmp_path / "rows.parquet")
        with pytest.raises(DataError, match="no rows"):
            first_rows(Data(path=str(tmp_path / "rows.parquet"), digest=""), "rows.parquet")
        (tmp_path / "bad.parquet").write_text("no parquet")
        with pytest.raises(DataError, match="cannot be read"):
            first_rows(Data(path=str(tmp_path / "bad.parquet"), digest=""), "bad.parquet")


def test_importing_is_light() -> None:
    code = (
        "import sys, bench.config.load, bench.config.schema, bench.config.template; "
        "print([name for name in ('torch', 'transformers', 'pyarrow', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
