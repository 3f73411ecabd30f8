"""A loaded policy as a model of lm-eval: likelihoods, rolling likelihoods and answers, of several models together too.

Text is tokenised as lm-eval's own HFLM does it (0.4.13): context and continuation as one text, spaces at the end of a
context moved to the continuation, what is too long cut from the left, a beginning token where the tokenizer puts one. A
special token that a text spells is one, as there, except with ``prompt: chat``, where the program's own rule holds:
what a user says is text. Special tokens of an answer are left out, as there. Every model of a proxied policy does so by
itself; the tokens of the continuation must come out the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

from lm_eval import utils
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs

from bench.core.errors import StageError
from bench.core.policy import Decoding, ResponseLikelihood, as_read
from bench.core.stage import StageIO
from bench.core.task import user
from bench.models.chat import opened_ids
from bench.models.local import Groups, LocalPolicy, PolicyPart, charge_reading, completions, scored
from bench.models.packing.layout import Group

# lm-eval's own defaults (0.4.13): a model that names no limit, and answers of tasks that name none.
LONGEST = 2048
NEW_TOKENS = 256
# Requests between two notes of progress; changes no result.
ASKED_AT_ONCE = 256


class PolicyLM(LM):
    """A policy for lm-eval.

    ``prompt``: see ``bench.core.benchmark.LmEvalTask``; ``seed`` is that of sampled answers.
    """

    def __init__(self, policy: LocalPolicy, io: StageIO, prompt: Literal["text", "chat"], seed: int) -> None:
        super().__init__()
        self._policy = policy
        self._io = io
        self._prompt = prompt
        self._seed = seed

    @property
    def tokenizer_name(self) -> str:
        """What lm-eval files cached requests under, which this program never uses."""
        return str(self._policy.tokenizer.name_or_path)

    def loglikelihood(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Return, for every (context, continuation), the continuation's log-probability and whether it is greedy."""
        rows = [self._row(*request.args) for request in requests]
        return [(one.logprob, one.is_greedy) for one in self._scored(rows)]

    def loglikelihood_rolling(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[float]:
        """Return every text's log-probability, in windows as long as the policy can read, each token scored once.

        A text has no prompt, so neither template nor instructions are read.
        """
        windows: list[Groups] = []
        owners: list[int] = []
        for number, request in enumerate(requests):
            (text,) = request.args
            parts = [self._windows(part, text) for part in self._policy.parts]
            if any([ids for _, ids in one] != [ids for _, ids in parts[0]] for one in parts):
                raise StageError("the models of a proxied policy do not write a text with the same tokens.")
            windows += [tuple(Group(before, [ids]) for before, ids in row) for row in zip(*parts, strict=True)]
            owners += [number] * len(parts[0])
        totals = [0.0] * len(requests)
        for number, one in zip(owners, self._scored(windows), strict=True):
            totals[number] += one.logprob
        return totals

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return the answer to every (context, settings), cut before the first stop sequence.

        The settings that are read are ``until``, ``max_gen_toks`` and its aliases, ``do_sample``, ``temperature``,
        ``top_p`` and ``top_k``; raises StageError for another one.
        """
        asked: dict[Decoding, list[int]] = {}
        stops: list[list[str]] = []
        for number, request in enumerate(requests):
            decoding, until = decoding_of(request.args[1])
            asked.setdefault(decoding, []).append(number)
            stops.append(until)
        found: dict[int, str] = {}
        for decoding, numbers in asked.items():
            rows = [self._opened(requests[number].args[0], decoding.max_new_tokens) for number in numbers]
            seeds = [self._seed_of(requests[number]) for number in numbers]
            written = completions(self._policy, rows, decoding, seeds=seeds, io=self._io)
            found |= {number: self._plain(one.tokens) for number, one in zip(numbers, written, strict=True)}
        return [until_first(found[number], stops[number]) for number in range(len(requests))]

    def _plain(self, tokens: Sequence[int]) -> str:
        special = set(self._policy.tokenizer.all_special_ids)
        return self._policy.text([token for token in tokens if token not in special])

    def _seed_of(self, request: Instance) -> int:
        text = f"{self._seed}\x1f{request.doc_id}\x1f{request.idx}\x1f{request.args[0]}".encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1

    def _scored(self, rows: Sequence[Groups]) -> list[ResponseLikelihood]:
        """Return the likelihood of one response per row, neighbours with the same prompts scored together."""
        groups: list[Groups] = []
        for row in rows:
            if groups and [one.prompt for one in groups[-1]] == [one.prompt for one in row]:
                before = groups[-1]
                groups[-1] = tuple(
                    Group(old.prompt, [*old.responses, *new.responses]) for old, new in zip(before, row, strict=True)
                )
            else:
                groups.append(row)
        found: list[ResponseLikelihood] = []
        for start in range(0, len(groups), ASKED_AT_ONCE):
            part = groups[start : start + ASKED_AT_ONCE]
            charge_reading(self._policy, [[group.shared_length() for group in row] for row in part], self._io)
            found += [one for responses in scored(self._policy, part) for one in responses]
            self._io.progress(len(found), len(rows), "request")
        return found

    def _row(self, context: str, continuation: str) -> Groups:
        row = tuple(self._group(part, context, continuation) for part in self._policy.parts)
        if any(group.responses != row[0].responses for group in row):
            raise StageError(
                f"the models of a proxied policy write {continuation!r} with different tokens, because what stands "
                "before it differs. Use `prompt: text`, or models whose prompts end alike."
            )
        return row

    def _group(self, part: PolicyPart, context: str, continuation: str) -> Group:
        if context:
            spaces = len(context) - len(context.rstrip())
            if spaces:
                context, continuation = context[:-spaces], context[-spaces:] + continuation
            before = self._ids(part, context, "")
            ids = self._ids(part, context, continuation)[len(before) :]
        else:
            before, ids = [prefix_of(part)], encoded(part, continuation, special=False)
            if ids[:1] == before:
                ids = ids[1:]
        if not ids:
            raise StageError(f"the continuation {continuation!r} has no tokens of its own behind {context[-40:]!r}.")
        longest = longest_of(part)
        whole = [*before, *ids][-(longest + 1) :]
        kept = min(len(ids), longest)
        return Group(whole[: len(whole) - kept], [whole[len(whole) - kept :]])

    def _opened(self, context: str, new_tokens: int) -> list[list[int]]:
        found = []
        for part in self._policy.parts:
            room = longest_of(part) - new_tokens
            if room < 1:
                raise StageError(
                    f"the task asks for {new_tokens} new tokens, and the model reads {longest_of(part)}. Set "
                    "max_gen_toks in the task's generation_kwargs."
                )
            found.append(self._ids(part, context, "")[-room:] if context else [prefix_of(part)])
        return found

    def _ids(self, part: PolicyPart, context: str, continuation: str) -> list[int]:
        chat = as_read(part.spec, user(context))
        if self._prompt == "chat":
            return opened_ids(part.tokenizer, chat, part.template, continuation)
        return encoded(part, chat[0].content + continuation, special=True)

    def _windows(self, part: PolicyPart, text: str) -> list[tuple[list[int], list[int]]]:
        ids = encoded(part, text, special=True)
        longest = min(longest_of(one) for one in self._policy.parts)
        rolling = utils.get_rolling_token_windows(ids, prefix_of(part), longest, 1)
        return [utils.make_disjoint_window(window) for window in rolling]


def encoded(part: PolicyPart, text: str, *, special: bool) -> list[int]:
    """Return the ids of a text, with the tokens a tokenizer puts around a text unless it begins with one already."""
    begin = part.tokenizer.bos_token
    with_special = special and not (begin is not None and text.startswith(begin))
    return [int(token) for token in part.tokenizer.encode(text, add_special_tokens=with_special)]


def prefix_of(part: PolicyPart) -> int:
    """Return the token that stands before a text without context: the beginning token, or else the end token."""
    tokenizer = part.tokenizer
    found = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if found is None:
        raise StageError("the tokenizer has neither a beginning nor an end token to put before a text.")
    return int(found)


def longest_of(part: PolicyPart) -> int:
    """Return how many tokens a model reads at most."""
    return LONGEST if part.context is None else part.context


def decoding_of(settings: dict[str, Any]) -> tuple[Decoding, list[str]]:
    """Return how a task of lm-eval wants its answers decoded, and where they stop."""
    left = dict(normalize_gen_kwargs(settings, NEW_TOKENS))
    until = handle_stop_sequences(left.pop("until", None), eos=None)
    samples = bool(left.pop("do_sample", False))
    fields: dict[str, Any] = {
        "max_new_tokens": int(left.pop("max_gen_toks")),
        "temperature": float(left.pop("temperature", 1.0) or 0.0) if samples else 0.0,
        "top_p": float(left.pop("top_p", 1.0)),
        "top_k": left.pop("top_k", None) or None,
    }
    left.pop("temperature", None)
    if left:
        raise StageError(f"the task's generation_kwargs have {', '.join(map(repr, left))}, which is not supported.")
    return Decoding(**fields), [stop for stop in until if stop]


def until_first(text: str, stops: Sequence[str]) -> str:
    """Return a text up to the first stop sequence in it."""
    for stop in stops:
        text = text.partition(stop)[0]
    return text
