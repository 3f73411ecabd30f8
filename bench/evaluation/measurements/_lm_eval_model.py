"""A loaded policy as a model of lm-eval: likelihoods, rolling likelihoods and answers, of several models together too.

Text is tokenised as lm-eval's own HFLM does it (0.4.13): context and continuation as one text, spaces at the end of a
context moved to the continuation, what is too long cut from the left, a beginning token where the tokenizer puts one.
With ``prompt: chat`` lm-eval makes the chat (``apply_chat_template``) and leaves the target delimiter away: examples
are turns of their own, a description is the system turn, ``gen_prefix`` begins the answer. The chat is handed on as
turns, so that each model of a policy lays it out with its own template and instructions. A special token that a text
spells is one, as in HFLM, except in a chat, where the program's own rule holds: what a turn says is text. Special
tokens of an answer are left out, as there. Every model of a proxied policy does so by itself; the tokens of the
continuation must come out the same.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lm_eval import utils
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs

from bench.core.errors import StageError
from bench.core.policy import Chat, Decoding, Message, ResponseLikelihood, as_read
from bench.core.stage import StageIO
from bench.core.task import user
from bench.models.chat import ids_within
from bench.models.hf import check_causal
from bench.models.local import Groups, LocalPolicy, PolicyPart, charge_reading, completions, scored
from bench.models.packing.layout import Group

# lm-eval's own defaults (0.4.13): a model that names no limit, and answers of tasks that name none.
LONGEST = 2048
NEW_TOKENS = 256
# Requests between two notes of progress; changes no result.
ASKED_AT_ONCE = 256


# What begins a context that is a chat; no text of a task begins with a control character.
CHAT = "\x02chat "


@dataclass
class Cut:
    """How many requests were asked, and what could not be read of them.

    ``contexts`` lost their beginning: with their answer they are longer than what the policy reads. ``undefined``:
    continuations that are longer by themselves. ``without_system``: readings of a chat without its system turn, which a
    model's template refuses.
    """

    requests: int = 0
    contexts: int = 0
    undefined: int = 0
    without_system: int = 0


class NobodyLM(LM):
    """What stands in for a policy that can be asked nothing: answers of no value, so that documents are known."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = Cut()

    def apply_chat_template(self, chat_history: Any, add_generation_prompt: bool = True) -> str:  # noqa: FBT001, FBT002
        """Return nothing that would be read."""
        return CHAT

    @property
    def tokenizer_name(self) -> str:
        """The name under which lm-eval would keep chats."""
        return "nobody"

    def loglikelihood(self, requests: list[Instance], **_: Any) -> list[tuple[float, bool]]:
        """Return a number for each request."""
        return [(0.0, False) for _ in requests]

    def loglikelihood_rolling(self, requests: list[Instance], **_: Any) -> list[float]:
        """Return a number for each request."""
        return [0.0 for _ in requests]

    def generate_until(self, requests: list[Instance], **_: Any) -> list[str]:
        """Return an empty text for each request."""
        return ["" for _ in requests]


class PolicyLM(LM):
    """A policy for lm-eval.

    ``prompt``: see ``bench.core.benchmark.LmEvalTask``; ``seed`` is that of sampled answers.
    """

    def __init__(self, policy: LocalPolicy, io: StageIO, prompt: Literal["text", "chat"], seed: int) -> None:
        super().__init__()
        check_causal(policy, "lm-eval")
        self._policy = policy
        self._io = io
        self._prompt = prompt
        self._seed = seed
        self.cut = Cut()

    @property
    def tokenizer_name(self) -> str:
        """What lm-eval files cached requests under, which this program never uses."""
        return str(self._policy.tokenizer.name_or_path)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Return the chat as a text that this model alone reads: its turns, which every part lays out by itself.

        Whether the assistant's turn is opened or goes on is seen from its last turn.
        """
        return CHAT + json.dumps([[turn["role"], turn["content"]] for turn in chat_history], ensure_ascii=False)

    def loglikelihood(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Return, for every (context, continuation), the continuation's log-probability and whether it is greedy.

        (NaN, False) for a continuation longer than what the policy can read, of which HFLM makes an error.
        """
        rows = [self._row(*request.args) for request in requests]
        found = iter(self._scored([row for row in rows if row is not None]))
        self.cut.requests += len(rows)
        self.cut.undefined += rows.count(None)
        return [(math.nan, False) if row is None else _read(next(found)) for row in rows]

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
        draws = _numbered(requests)
        stops: list[list[str]] = []
        for number, request in enumerate(requests):
            decoding, until = decoding_of(request.args[1])
            asked.setdefault(decoding, []).append(number)
            stops.append(until)
        found: dict[int, str] = {}
        for decoding, numbers in asked.items():
            rows = [self._opened(requests[number].args[0], decoding.max_new_tokens) for number in numbers]
            self.cut.requests += len(rows)
            seeds = [self._seed_of(requests[number], draws[number]) for number in numbers]
            written = completions(self._policy, rows, decoding, seeds=seeds, io=self._io)
            found |= {number: self._plain(one.tokens) for number, one in zip(numbers, written, strict=True)}
        return [until_first(found[number], stops[number]) for number in range(len(requests))]

    def _plain(self, tokens: Sequence[int]) -> str:
        # As HFLM: the answer by itself, so a tokenizer that drops the space before a text drops it here.
        return str(self._policy.tokenizer.decode(list(tokens), skip_special_tokens=True))

    def _seed_of(self, request: Instance, draw: int) -> int:
        text = f"{self._seed}\x1f{request.doc_id}\x1f{request.idx}\x1f{draw}\x1f{request.args[0]}".encode()
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

    def _row(self, context: str, continuation: str) -> Groups | None:
        """Return what is scored, None where the continuation is longer than what some part can read."""
        parts = [(part, *self._pair(part, context, continuation)) for part in self._policy.parts]
        if any(len(ids) > longest_of(part) for part, _, ids in parts):
            return None
        room = [(longest_of(part) + 1 - len(ids), before, ids) for part, before, ids in parts]
        self.cut.contexts += any(len(before) > most for most, before, _ in room)
        row = tuple(Group(before[-most:], [ids]) for most, before, ids in room)
        if any(group.responses != row[0].responses for group in row):
            raise StageError(
                f"the models of a proxied policy write {continuation!r} with different tokens, because what stands "
                "before it differs. Use `prompt: text`, or models whose prompts end alike."
            )
        return row

    def _pair(self, part: PolicyPart, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Return a context's ids and its continuation's."""
        if not context:
            before, ids = [prefix_of(part)], encoded(part, continuation, special=False)
            ids = ids[1:] if ids[:1] == before else ids
        else:
            before, whole = self._within(part, context, continuation)
            ids = whole[len(before) :]
        if not ids:
            raise StageError(f"the continuation {continuation!r} has no tokens of its own behind {context[-40:]!r}.")
        return before, ids

    def _opened(self, context: str, new_tokens: int) -> list[list[int]]:
        found = []
        for part in self._policy.parts:
            room = longest_of(part) - new_tokens
            if room < 1:
                raise StageError(
                    f"the task asks for {new_tokens} new tokens, and the model reads {longest_of(part)}. Set "
                    "max_gen_toks in the task's generation_kwargs."
                )
            ids = self._within(part, context, "")[1] if context else [prefix_of(part)]
            found.append((ids[-room:], len(ids) > room))
        self.cut.contexts += any(is_cut for _, is_cut in found)
        return [ids for ids, _ in found]

    def _within(self, part: PolicyPart, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Return the ids of a context without the space at its end, and of context and continuation as one text."""
        chat = as_read(part.spec, chat_in(context))
        if self._prompt == "chat" or context.startswith(CHAT):
            return self._laid_out(part, chat, continuation)
        text = chat[0].content
        bare = text.rstrip()
        return encoded(part, bare, special=True), encoded(part, text + continuation, special=True)

    def _laid_out(self, part: PolicyPart, chat: Chat, continuation: str) -> tuple[list[int], list[int]]:
        try:
            return ids_within(part.tokenizer, chat, part.template, continuation)
        except StageError:
            # As HFLM: a template that knows no system turn gets the chat without one.
            others = tuple(turn for turn in chat if turn.role != "system")
            if len(others) == len(chat):
                raise
            found = ids_within(part.tokenizer, others, part.template, continuation)
            self.cut.without_system += 1
            return found

    def _windows(self, part: PolicyPart, text: str) -> list[tuple[list[int], list[int]]]:
        ids = encoded(part, text, special=True)
        longest = min(longest_of(one) for one in self._policy.parts)
        rolling = utils.get_rolling_token_windows(ids, prefix_of(part), longest, 1)
        return [utils.make_disjoint_window(window) for window in rolling]


def chat_in(context: str) -> Chat:
    """Return a context as turns: those that ``apply_chat_template`` made of them, or one of the user."""
    if not context.startswith(CHAT):
        return user(context)
    turns = json.loads(context.removeprefix(CHAT))
    return tuple(Message(role=role, content=content) for role, content in turns)


def _read(one: ResponseLikelihood) -> tuple[float, bool]:
    return one.logprob, one.is_greedy


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


def _numbered(requests: Sequence[Instance]) -> list[int]:
    """Return how often each request stood before it: a benchmark that draws several answers repeats its requests."""
    seen: Counter[tuple[object, ...]] = Counter()
    found = []
    for request in requests:
        which = (request.doc_id, request.idx, request.args[0])
        found.append(seen[which])
        seen[which] += 1
    return found
