"""What truncation did, in words."""

from __future__ import annotations

from bench.core.lengths import LengthCounts, SpellingCounts, WrittenCounts
from bench.results.lengths import cut_in_words, spelling_lines, unanswered_in_words, written_in_words
from bench.results.summary import ArmAtSeed, Unanswered
from tests.report.summaries import stage, with_stages


def test_nothing_cut_is_nothing_said() -> None:
    assert cut_in_words(LengthCounts(data="preferences", rows=5, max_length=9)) == ""
    assert cut_in_words(LengthCounts(data="prompts", rows=5, max_length=9)) == ""
    assert written_in_words(WrittenCounts(prompts=3, responses=3)) == ""


def test_everything_cut_is_said() -> None:
    counts = LengthCounts(
        data="preferences", rows=9, max_length=64, prompts_cut=2, responses_cut=3, ends_lost=2, identical=1, dropped=1
    )
    assert cut_in_words(counts) == (
        "of 9 rows, at most 64 tokens each: 2 prompts cut at the beginning of what turns say; 3 responses cut at the "
        "end (2 lost the end token); 1 pair left out: both responses are the same tokens; 1 row left out: too long to "
        "fit"
    )
    assert "1 of 5 responses cut at max_new_tokens, left out" in written_in_words(
        WrittenCounts(prompts=6, too_long=1, responses=5, cut=1, left_out=1)
    )
    one = Unanswered(task="quiz", arms=("base", "sft"), prompts=2, of=7)
    assert unanswered_in_words(one).startswith("quiz: 2 of 7 prompts too long for base and sft ")


def test_special_tokens_and_lost_characters_are_said() -> None:
    trained = stage("train/sft", "d.jsonl", diagnostics=SpellingCounts(changed=1, spelt=2).told())
    learnt = stage("train/grpo", "p.jsonl", diagnostics=SpellingCounts(written=3, responses=8).told())
    answers = stage("generate", diagnostics=SpellingCounts(written=4, responses=9).told())
    summary = with_stages(
        {}, {"a": trained, "b": trained, "c": learnt, "d": answers, "e": answers, "f": stage("score")}
    )
    runs = {"0": ArmAtSeed(stages=("a", "c"), answers=("d",)), "1": ArmAtSeed(stages=("b",), answers=("e", "gone"))}
    arm = summary.arms["arm"].model_copy(update={"runs": runs})
    assert spelling_lines(summary.model_copy(update={"arms": {"arm": arm}})) == [
        "train/sft (d.jsonl): 1 response not given back by the tokenizer as written (spaces or characters lost); "
        "2 responses spelling special tokens, read as text",
        "train/grpo (p.jsonl): 3 of 8 responses written with special tokens before the end, spelt out and read as text",
        "answers of arm: 8 responses written with special tokens before the end, spelt out and read as text",
    ]
    assert SpellingCounts(responses=5).told() == {}
