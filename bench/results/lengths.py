"""What was cut, dropped, left unanswered or read as other than it was written: for plans, reports and the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from bench.core.lengths import LengthCounts, Quantiles, SpellingCounts, WrittenCounts
from bench.results.summary import BenchmarkCuts, RunSummary, StageFacts, Unanswered
from bench.results.wording import counted, listed


def length_lines(summary: RunSummary) -> list[str]:
    """Return what was cut, dropped and left unanswered in a run, a line each; none where nothing was.

    What several stages did alike to one data set, at any seed, is one line.
    """
    found = [line for facts in summary.stages.values() for line in _of_stage(facts)]
    cuts = (cuts_in_words(one) for one in summary.benchmark_cuts)
    return [*dict.fromkeys(found), *(unanswered_in_words(one) for one in summary.unanswered), *cuts]


def spelling_lines(summary: RunSummary) -> list[str]:
    """Return which responses tokens do not give back as they are, or hold special tokens, a line each; none if none do.

    What several stages found alike in one data set, at any seed, is one line. So is what an arm's answers hold, over
    tasks and seeds.
    """
    counts = {key: _spelling(facts) for key, facts in summary.stages.items()}
    answers = {
        arm: dict.fromkeys(key for run in facts.runs.values() for key in run.answers if key in counts)
        for arm, facts in summary.arms.items()
    }
    trained = counts.keys() - {key for keys in answers.values() for key in keys}
    found = [
        f"{facts.kind}{f' ({facts.data})' if facts.data else ''}: {words}"
        for key, facts in summary.stages.items()
        if key in trained and (words := spelling_in_words(counts[key])) != ""
    ]
    # Only stages that met such answers say so: of how many answers, is not known of the others.
    written = {arm: SpellingCounts(written=sum(counts[key].written for key in keys)) for arm, keys in answers.items()}
    told = [f"answers of {arm}: {words}" for arm, one in written.items() if (words := spelling_in_words(one)) != ""]
    return [*dict.fromkeys(found), *told]


def cut_in_words(counts: LengthCounts) -> str:
    """Return what was cut and dropped of a data set; empty where every row is used as it stands."""
    if counts.data == "prompts":
        return (
            f"{counts.dropped:,} of {counted(counts.rows, 'prompt')} left out: more than {counts.max_length:,} tokens, "
            "which leaves no room for a response"
            if counts.dropped
            else ""
        )
    ends = f" ({counts.ends_lost:,} lost the end token)" if counts.ends_lost else ""
    parts = [
        f"{counted(counts.prompts_cut, 'prompt')} cut at the beginning of what turns say" if counts.prompts_cut else "",
        f"{counted(counts.responses_cut, 'response')} cut at the end{ends}" if counts.responses_cut else "",
        f"{counted(counts.unfinished, 'response')} used without an end token, as cut when sampled"
        if counts.unfinished
        else "",
        f"{counted(counts.identical, 'pair')} left out: both responses are the same tokens" if counts.identical else "",
        f"{counted(counts.became_identical, 'pair')} left out: the responses are the same tokens once cut"
        if counts.became_identical
        else "",
        f"{counted(counts.dropped, 'row')} left out: too long to fit" if counts.dropped else "",
    ]
    found = [part for part in parts if part]
    if not found:
        return ""
    return f"of {counted(counts.rows, 'row')}, at most {counts.max_length:,} tokens each: {'; '.join(found)}"


def quantiles_in_words(counts: LengthCounts) -> str:
    """Return how long the rows of a data set are before anything is cut."""
    parts = (("prompt", counts.prompt), ("response", counts.response), ("together", counts.together))
    known = [f"{name} {_quantiles(found)}" for name, found in parts if found is not None]
    return f"tokens (median / 95th percentile / most): {', '.join(known)}"


def written_in_words(counts: WrittenCounts) -> str:
    """Return what became of prompts and responses that a policy answered to make data; empty where nothing did."""
    parts = []
    if counts.too_long:
        parts.append(f"{counted(counts.too_long, 'prompt')} left out: no room for a response in the model's context")
    if counts.cut:
        left = "left out" if counts.left_out else "kept without an end token"
        parts.append(f"{counts.cut:,} of {counted(counts.responses, 'response')} cut at max_new_tokens, {left}")
    return f"of {counted(counts.prompts, 'prompt')}: {'; '.join(parts)}" if parts else ""


def unanswered_in_words(one: Unanswered) -> str:
    """Return how many prompts of a task an arm did not answer."""
    return (
        f"{one.task}: {one.prompts:,} of {counted(one.of, 'prompt')} too long for {listed(list(one.arms))} (with the "
        "task's max_new_tokens more than the model's context): no response, and left out of every comparison"
    )


def cuts_in_words(one: BenchmarkCuts) -> str:
    """Return what an arm could not read of a task of lm-eval."""
    parts = [
        f"{counted(one.contexts, 'context')} cut at the beginning, as lm-eval does" if one.contexts else "",
        f"{counted(one.undefined, 'continuation')} longer than the model's context: their documents have no value"
        if one.undefined
        else "",
        f"{counted(one.without_system, 'reading')} without the system turn, which the chat template refuses"
        if one.without_system
        else "",
        f"{counted(one.examples_left_out, 'document')} of the examples' split left out, being asked themselves"
        if one.examples_left_out
        else "",
    ]
    said = "; ".join(part for part in parts if part)
    return f"{one.task}: {one.arm}, of {counted(one.requests, 'request')}: {said}"


def spelling_in_words(counts: SpellingCounts) -> str:
    """Return what tokens do not give back of responses, or what they hold; empty where there is nothing to tell."""
    of = f"{counts.written:,} of " if counts.responses else ""
    parts = [
        f"{counted(counts.changed, 'response')} not given back by the tokenizer as written (spaces or characters lost)"
        if counts.changed
        else "",
        f"{counted(counts.spelt, 'response')} spelling special tokens, read as text" if counts.spelt else "",
        f"{of}{counted(counts.responses or counts.written, 'response')} written with special tokens before the end, "
        "spelt out and read as text"
        if counts.written
        else "",
    ]
    return "; ".join(part for part in parts if part)


def _spelling(facts: StageFacts) -> SpellingCounts:
    return SpellingCounts.model_validate(facts.diagnostics.get("spelling", {}))


def _of_stage(facts: StageFacts) -> Iterator[str]:
    for found in facts.diagnostics.get("lengths", ()):
        counts = LengthCounts.model_validate(found)
        if (words := cut_in_words(counts)) != "":
            yield f"{counts.data}{f' ({facts.data})' if facts.data else ''}: {words}"
    written = facts.diagnostics.get("written")
    if written is not None and (words := written_in_words(WrittenCounts.model_validate(written))) != "":
        yield f"{facts.kind}: {words}"


def _quantiles(found: Quantiles) -> str:
    return f"{found.median:,} / {found.high:,} / {found.most:,}"
