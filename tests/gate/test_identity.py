"""What must be equal in two runs, and how a difference is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config.comparison import Named
from bench.core.frozen import digest_of_file
from bench.core.policy import Pretrained
from bench.evaluation.judges.likelihood import Likelihood
from bench.pipeline.lock import identity_of, judge_identity
from bench.results.identity import RunIdentity, changed_settings, differences
from tests.report.synthetic import comparison

LABELLER = Pretrained(repo="a/labeller", revision="1")


def with_judge(judge: Likelihood) -> RunIdentity:
    found = judge_identity(Named(label="ours", judge=judge), comparison())
    return identity_of(comparison()).model_copy(update={"judges": {"win_rate:ours": found}})


def test_another_prompt_of_a_labelling_judge_is_told(tmp_path: Path) -> None:
    shipped = Path("bench/evaluation/judges/prompts/helpful.yaml")
    text = (Path(__file__).resolve().parents[2] / shipped).read_text(encoding="utf-8")
    runs = []
    for number in (1, 2):
        file = tmp_path / f"{number}" / "ours.yaml"
        file.parent.mkdir()
        file.write_text(text + "# a comment\n" * number, encoding="utf-8")
        runs.append(with_judge(Likelihood(policy=LABELLER, path=str(file), digest=digest_of_file(file))))
    assert differences(runs[0], runs[0]) == []
    (told,) = differences(runs[1], runs[0])
    assert told.startswith("judge ours: another template or word list (digest: ")
    (told,) = differences(with_judge(Likelihood(policy=LABELLER, prompt="harmless")), with_judge(
        Likelihood(policy=LABELLER, prompt="helpful")))  # fmt: skip
    assert "prompt: helpful -> harmless" in told


def test_another_model_of_the_judge_is_told_as_settings() -> None:
    now = with_judge(Likelihood(policy=LABELLER.model_copy(update={"revision": "2"})))
    (told,) = differences(now, with_judge(Likelihood(policy=LABELLER)))
    assert told.startswith("judge ours: other settings (policy: ")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"draws": 2}, "decoding: 2 draws per prompt then, 1 now"),
        ({"orders": "first"}, "judging: orders 'first' then, 'both' now"),
        ({"stages": {"judge": 0}}, "the evaluation step 'judge' computes something else (version 0 then, "),
    ],
)
def test_what_else_must_be_equal(change: dict[str, object], told: str) -> None:
    now = identity_of(comparison())
    found = differences(now, now.model_copy(update=change))
    assert len(found) == 1
    assert found[0].startswith(told)


def test_settings_are_listed_by_their_dotted_names() -> None:
    assert changed_settings({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 5}, "e": None}) == [
        "a.c: 5 -> 2", "d: none -> 3",
    ]  # fmt: skip
