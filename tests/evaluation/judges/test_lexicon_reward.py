"""The callable reward beside a committed comparison: by itself it says what the lexicon judge says."""

from pathlib import Path

import pytest

from bench.core.frozen import load_file
from bench.evaluation.judges.lexicon import valence

FILE = Path(__file__).resolve().parents[3] / "results" / "stories_methods" / "lexicon_reward.py"
WORDS = {"happy": 2.7, "sad": -2.1, "hug": 2.1, "loved": 2.9}
TEXTS = [
    "",
    "Tom was happy. He loved Sam!",
    "She was not very happy, and SAD.",
    "They didn't ever hug; happy, happy.",
    "nothing to tell",
]


@pytest.mark.parametrize("text", TEXTS)
def test_the_reward_is_the_judges_rating(text: str) -> None:
    assert load_file(FILE).valence(text, WORDS) == pytest.approx(valence(text, WORDS), abs=1e-12)


def test_another_lexicon_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vader").mkdir()
    (tmp_path / "vader" / "vader_lexicon.txt").write_text("happy\t2.7\n", encoding="utf-8")
    monkeypatch.setenv("ALIGNMENT_BENCH_DATA", str(tmp_path))
    module = load_file(FILE)
    module.lexicon.cache_clear()
    with pytest.raises(ValueError, match="not the file"):
        module.reward(["p"], ["happy"])
