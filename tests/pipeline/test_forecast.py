"""What a forecast counts of labels: a method's own labelling too, and what cannot be known yet."""

from __future__ import annotations

from pathlib import Path

from bench.core.data import Made
from bench.core.datasets import rows_known
from bench.core.policy import Decoding
from bench.pipeline.forecast import judge_calls
from methods._train.feedback.label_pairs import LabelPreferences, SamplePairs
from tests.fakes import Number
from tests.methods.tiny import DEMONSTRATIONS, PREFERENCES, data, pretrained
from tests.report.synthetic import Gold


def test_a_method_that_labels_preferences_asks_twice_per_pair(tmp_path: Path) -> None:
    pairs = data(tmp_path / "pairs.jsonl", PREFERENCES)
    stage = LabelPreferences(pairs=pairs, judge=Gold())
    assert judge_calls(stage, None) == 2 * len(PREFERENCES)
    assert judge_calls(LabelPreferences(pairs=pairs.model_copy(update={"limit": 3}), judge=Gold()), None) == 6


def test_pairs_that_are_not_made_yet_are_counted_as_unknown(tmp_path: Path) -> None:
    base = pretrained(tmp_path / "model")
    prompts = data(tmp_path / "prompts.jsonl", DEMONSTRATIONS)
    made = Made(by=SamplePairs(policy=base, prompts=prompts, decoding=Decoding(), seed=0))
    stage = LabelPreferences(pairs=made, judge=Gold())
    assert rows_known(made) is None
    assert judge_calls(stage, None) is None


def test_a_stage_without_a_judge_labels_nothing() -> None:
    assert judge_calls(Number(value=1, journal="none"), None) == 0
