"""AlpacaEval outputs and annotations, joined on the instruction's text: preferences, and lengths of the answers.

An annotation belongs to a pair of answers, not to two names: where it carries the texts, both must be those of the
files, in either order. A verdict counts as it is stored, also on two equal texts, so that the raw win rate is that of
the annotations; equal texts that no judge was asked about are a tie, and files that are equal throughout are ties only.
A pair that cannot be scored is left out and counted under its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.errors import DataError
from bench.scoring.annotation_rows import TIE, StoredVerdict
from bench.scoring.row_files import GENERATOR, INSTRUCTION, OUTPUT, RowFile, shown
from bench.statistics.tests.confidence import FloatArray

FAILED_VERDICT = "the judge gave no preference"
REPEATED = "repeated verdicts, counted once or averaged over orders"
RETRIED = "failed verdicts, left out beside a later one on the same answers"


@dataclass(frozen=True)
class AnswerFile:
    """One file of answers: its name, and the answer by instruction; None where a row has none."""

    name: str
    by_instruction: Mapping[str, str | None]


@dataclass(frozen=True)
class Preferences:
    """One method against the reference, over the comparison's prompts; NaN where a number is missing.

    ``missing`` counts the prompts without a usable verdict by reason; ``noted`` what else was left out or repaired.
    """

    name: str
    reference: str
    preference: FloatArray
    length: FloatArray
    baseline_length: FloatArray
    missing: Mapping[str, int]
    noted: Mapping[str, int]

    @property
    def judged(self) -> int:
        """On how many prompts a judge was asked about this pair, whatever it answered."""
        return int(np.isfinite(self.preference).sum()) + self.missing.get(FAILED_VERDICT, 0)


def answers_of(file: RowFile) -> AnswerFile:
    """Return the answers of an outputs file; raises DataError for a repeated instruction.

    A row without an answer beside one with an answer to the same instruction is a failed try, and does not count.
    """
    found: dict[str, str | None] = {}
    repeated: list[str] = []
    for row in file.rows:
        instruction, output = row.text(*INSTRUCTION), row.text_or_none(*OUTPUT)
        if found.get(instruction) is not None and output is not None:
            repeated.append(instruction)
        if found.get(instruction) is None:
            found[instruction] = output
    if repeated:
        raise DataError(
            f"{file.path}: {len(repeated)} instructions appear more than once ({shown(repeated)}). "
            "Which answer counts cannot be told: keep one row for each."
        )
    names = {name for name in (row.label_or_none(*GENERATOR) for row in file.rows) if name is not None}
    if len(names) > 1:
        raise DataError(f"{file.path}: answers of several generators ({', '.join(sorted(names))}); one file for each")
    return AnswerFile(names.pop() if names else file.stem, found)


def answers_in(annotations: Sequence[RowFile]) -> tuple[list[AnswerFile], AnswerFile]:
    """Return the methods and the baseline of annotation files that carry both texts.

    Raises DataError for rows without texts or with names in some rows only, and for several baselines.
    """
    (name, texts), *others = _answers_on(annotations, "1").items()
    if others:
        names = sorted({name, *(other for other, _ in others)})
        raise DataError(
            f"the annotations compare with several baselines ({', '.join(names)}): "
            "give --outputs and --reference to say which pair to score"
        )
    methods = _answers_on(annotations, "2")
    return [AnswerFile(method, found) for method, found in methods.items()], AnswerFile(name, texts)


def _answers_on(annotations: Sequence[RowFile], side: str) -> dict[str, dict[str, str | None]]:
    """Return the answers on one side of the rows, by generator and instruction."""
    rows = [row for file in annotations for row in file.rows]
    nameless = [row for row in rows if row.label_or_none(f"generator_{side}") is None]
    if nameless and len(nameless) < len(rows):
        raise DataError(
            f"{nameless[0].where}: no generator_{side}, though other rows have one ({len(nameless)} such rows). "
            "Name it, or leave the rows out."
        )
    found: dict[str, dict[str, str | None]] = {}
    for row in rows:
        instruction, text = row.text(*INSTRUCTION), row.text_or_none(f"output_{side}")
        texts = found.setdefault(f"output_{side}" if nameless else row.label(f"generator_{side}"), {})
        known = texts.get(instruction)
        if known is not None and text is not None and known != text:
            raise DataError(f"{row.where}: a second output_{side} for {instruction[:80]!r}")
        if known is None:
            texts[instruction] = text
    return found


def join(
    methods: Sequence[AnswerFile], reference: AnswerFile, verdicts: Mapping[str, Sequence[StoredVerdict]]
) -> tuple[list[str], list[Preferences]]:
    """Return the prompts and each method's preferences over them; raises DataError when a method has none.

    The prompts are the reference's instructions, then those that only a method answered.
    """
    prompts = list(dict.fromkeys([*reference.by_instruction, *(key for one in methods for key in one.by_instruction)]))
    return prompts, [_joined(method, reference, prompts, verdicts) for method in methods]


def is_judged(method: AnswerFile, reference: AnswerFile, verdicts: Mapping[str, Sequence[StoredVerdict]]) -> bool:
    """Return whether any verdict is about the method and the reference."""
    for prompt, text in method.by_instruction.items():
        base = reference.by_instruction.get(prompt)
        if text is not None and base is not None:
            pair = (base.strip(), text.strip())
            if any(_orientation(one, method, reference, pair) is not None for one in verdicts.get(prompt, ())):
                return True
    return False


def _joined(
    method: AnswerFile, reference: AnswerFile, prompts: Sequence[str], verdicts: Mapping[str, Sequence[StoredVerdict]]
) -> Preferences:
    missing: Counter[str] = Counter()
    noted: Counter[str] = Counter()
    preference, own, other = (np.full(len(prompts), np.nan) for _ in range(3))
    same_throughout = _same_throughout(method, reference, prompts)
    for place, prompt in enumerate(prompts):
        text, base = method.by_instruction.get(prompt), reference.by_instruction.get(prompt)
        if text is None or base is None:
            missing["no output" if text is None else "no output of the reference"] += 1
            continue
        own[place], other[place] = len(text), len(base)
        pair = (base.strip(), text.strip())
        found = [one for one in verdicts.get(prompt, ()) if _orientation(one, method, reference, pair) is not None]
        if same_throughout or (text == base and not found):
            preference[place] = TIE
            noted["identical outputs, counted as ties"] += 1
            continue
        # Another method may have given the same answer: its verdict counts where this method has none of its own.
        own_rows = [one for one in found if method.name in one.names]
        usable = [one for one in own_rows or found if one.preference is not None]
        if usable:
            stood_second = [_orientation(one, method, reference, pair) is True for one in usable]
            preference[place] = _one_of(usable, stood_second, prompt)
            noted[REPEATED] += len(usable) - 1
            noted[RETRIED] += len(own_rows or found) - len(usable)
            noted["preferences of 0, counted as ties (AlpacaEval's old code)"] += any(one.old_tie for one in usable)
        elif found:
            missing[FAILED_VERDICT] += 1
        else:
            missing["no verdict on these two texts" if verdicts.get(prompt) else "no verdict"] += 1
    if not np.isfinite(preference).any():
        raise DataError(_nothing(method, reference, prompts, verdicts, missing[FAILED_VERDICT]))
    return Preferences(method.name, reference.name, preference, own, other, dict(missing), dict(+noted))


def _same_throughout(method: AnswerFile, reference: AnswerFile, prompts: Sequence[str]) -> bool:
    """Return whether both files give the same answer wherever both have one."""
    both = [(method.by_instruction.get(prompt), reference.by_instruction.get(prompt)) for prompt in prompts]
    return all(own == base for own, base in both if own is not None and base is not None)


def _orientation(
    verdict: StoredVerdict, method: AnswerFile, reference: AnswerFile, pair: tuple[str, str]
) -> bool | None:
    """Return whether the method stood second; None when the verdict is about another pair.

    ``pair``: the reference's answer and the method's, without spaces around them.
    """
    if None not in verdict.texts:
        texts = tuple(text.strip() for text in verdict.texts if text is not None)
        return True if texts == pair else False if texts == pair[::-1] else None
    names = (reference.name, method.name)
    return True if verdict.names == names else False if verdict.names == names[::-1] else None


def _one_of(usable: Sequence[StoredVerdict], stood_second: Sequence[bool], prompt: str) -> float:
    """Return the preference of a pair's verdicts; raises DataError when equal rows contradict each other."""
    by_order: dict[bool, float] = {}
    for one, second in zip(usable, stood_second, strict=True):
        value = one.preference if one.preference is not None else TIE
        turned = value if second else 1 - value
        if by_order.setdefault(second, turned) != turned:
            raise DataError(f"{one.where}: a second, different verdict on the same two texts for {prompt[:80]!r}")
    return sum(by_order.values()) / len(by_order)


def _nothing(
    method: AnswerFile,
    reference: AnswerFile,
    prompts: Sequence[str],
    verdicts: Mapping[str, Sequence[StoredVerdict]],
    failed: int,
) -> str:
    """Return why a method has no verdict at all; ``failed``: on so many pairs the judge gave none."""
    head = f"{method.name} against {reference.name}: none of {len(prompts)} prompts has a usable verdict."
    judged = {name for found in verdicts.values() for one in found for name in one.names if name}
    unmatched = [prompt for prompt in prompts if prompt not in verdicts]
    if not verdicts:
        return f"{head} Give the judge's verdicts with --annotations."
    if len(unmatched) == len(prompts):
        return f"{head} No instruction is in the annotations: {shown(unmatched)}. They have: {shown(list(verdicts))}."
    if not set(method.by_instruction) & set(reference.by_instruction):
        return f"{head} The two files share no instruction: {shown(list(method.by_instruction))}."
    if failed:
        return f"{head} On {failed} {FAILED_VERDICT}: ask again, or look at what it answered."
    return f"{head} The annotations are about other texts or baselines ({', '.join(sorted(judged)) or 'no names'})."
