"""``python -m bench.models.count_lengths``: how long data and prompts are, counted without torch.

A process of its own, because tokenizers come with transformers, which takes seconds to import, and a plan that finds
its counts kept needs none. It counts with what stages cut with (``bench.models.lengths``, ``bench.models.tokenizer``),
so the numbers are theirs. A request comes in as JSON and the answer goes out as JSON.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TextIO

from bench.core.formats.gguf_header import SUFFIX

if __name__ == "__main__":
    ASKED = sys.stdin.read()
    sys.stdin = StringIO(ASKED)
    # Counting needs no torch. But transformers imports it wherever it is there, which takes longer than all else here;
    # what is None in this table counts as not installed. Only before transformers is imported, and in this process.
    # It reads no GGUF file without torch, not even its tokenizer.
    if f'{SUFFIX}"' not in ASKED:
        sys.modules["torch"] = None  # type: ignore[assignment]

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from bench.core.datasets import read_prompts
from bench.core.errors import BenchError, StageError
from bench.core.formats.model_files import weight_files
from bench.core.formats.weight_numbers import check_numbers
from bench.core.lengths import REFUSED, DataAsked, LengthCounts, LengthsAsked, LengthsFound, PromptsAsked
from bench.core.policy import PolicySpec, Pretrained, root
from bench.core.stage import Progress, Stage, StageIO
from bench.models.lengths import fit_rows, fitting_prompts, longest_of
from bench.models.response_tokens import ResponseTokens, tokens_of
from bench.models.tokenised.findings import found_in, kind_of_rows
from bench.models.tokenised.making import Wording
from bench.models.tokenised.shown import shown_rows
from bench.models.tokenised.token_rows import token_rows
from bench.models.tokenizer import (
    check_readable,
    context_of,
    embeddings_of,
    end_token_of,
    load_tokenizer,
    template_for,
    yielding,
)


@dataclass(frozen=True)
class Weightless:
    """What reads rows of data: a policy without its weights, the only part of itself."""

    spec: PolicySpec
    tokenizer: PreTrainedTokenizerBase
    config: PreTrainedConfig
    template: str
    context: int | None
    embeddings: int | None

    def response(self, text: str) -> list[int]:
        """Return the ids of a response, its end token last."""
        return self._readable(self.tokens.ids(text))

    def cut_response(self, text: str) -> list[int]:
        """Return the ids of a response that was cut off, without an end."""
        return self._readable(self.tokens.cut_ids(text))

    def _readable(self, ids: list[int]) -> list[int]:
        check_readable(self, ids, "a response")
        return ids

    @property
    def tokens(self) -> ResponseTokens:
        """How its tokenizer writes responses."""
        return tokens_of(self.tokenizer, self.config, end_token_of(self.spec))

    def check_end(self) -> None:
        """Raise StageError where the model has no embedding for what ends a response."""
        check_readable(self, [self.tokens.end], "what ends a response")

    @property
    def parts(self) -> tuple[Weightless, ...]:
        """The reader itself."""
        return (self,)


def reader_of(spec: PolicySpec) -> Weightless:
    """Return what reads the prompts of a local model; raises StageError for a model that is no local folder."""
    start = root(spec)
    if not isinstance(start, Pretrained):
        raise StageError("only a model that is there already has a tokenizer to count with.")
    tokenizer, config = load_tokenizer(start)
    if start.path is not None and Path(start.path).suffix != SUFFIX:
        for file in weight_files(Path(start.path)):
            check_numbers(file, f"{start.path}: {file.name}")
    template = template_for(start, tokenizer, config)
    reader = Weightless(spec, tokenizer, config, template, context_of(config), embeddings_of(config))
    reader.check_end()
    return reader


def counted_data(asked: DataAsked, readers: Sequence[Weightless], io: StageIO) -> LengthCounts:
    """Return what the stages that train on the data will cut and drop of it; ``readers`` are those of the request."""
    reader = readers[0]
    room = longest_of(asked.max_length, reader.context)
    if asked.new_tokens is not None:
        prompts = [yielding(reader, prompt.chat).ids for prompt in read_prompts(asked.data, io)]
        return fitting_prompts(prompts, room - asked.new_tokens)[1]
    kind = kind_of_rows(asked.data, asked.rows_of)
    rows = token_rows(asked.data, kind, [Wording(one, one.spec) for one in readers], reader, io)
    return fit_rows(asked.rows_of, rows, room)[1]


def counted_prompts(asked: PromptsAsked, reader: Weightless) -> int:
    """Return how many prompts leave no room for ``new_tokens`` in what the model can read."""
    lengths = [len(yielding(reader, chat).ids) for chat in asked.chats]  # a template may refuse a prompt
    return 0 if reader.context is None else sum(length > reader.context - asked.new_tokens for length in lengths)


def counted(asked: LengthsAsked, io: StageIO) -> LengthsFound:
    """Return the answer to a request; each model's tokenizer is loaded once."""
    specs = [*(reader for one in asked.data for reader in one.readers), *(one.reader for one in asked.prompts)]
    specs += [one.reader for one in asked.examples]
    readers = {spec: reader_of(spec) for spec in dict.fromkeys(specs)}
    data = tuple(counted_data(one, [readers[spec] for spec in one.readers], io) for one in asked.data)
    return LengthsFound(
        files=tuple(found_in(one, io) for one in asked.files),  # counted already where it was turned into tokens
        data=data,
        too_long=tuple(counted_prompts(one, readers[one.reader]) for one in asked.prompts),
        examples=tuple(shown_rows(one, readers[one.reader], io) for one in asked.examples),
    )


def planning(folder: Path, tokens: Path | None, progress: TextIO | None = None) -> StageIO:
    """Return what a stage may touch, for reading while a plan is made: a folder that goes with it, and kept tokens.

    ``progress``: where to write, in one line that is written over, how many rows were read.
    """
    io = StageIO(out=folder, scratch=folder, read_payload=_no_payload, tokens=tokens)
    if progress is not None:
        io.on_progress = RowProgress(progress).show
    return io


class RowProgress:
    """A line that says how many rows were read of the data set that is read now, and how fast."""

    def __init__(self, to: TextIO) -> None:
        self._to = to
        self._began = time.monotonic()
        self._last = 0

    def show(self, progress: Progress) -> None:
        """Write the line anew."""
        now = time.monotonic()
        if progress.done < self._last:
            self._began = now
        self._last = progress.done
        speed = progress.done / max(now - self._began, 1e-3)
        self._to.write(f"\rreading data: {progress.done:,} rows, {speed:,.0f} a second ")
        self._to.flush()


def _no_payload(stage: Stage) -> Path:
    raise StageError(f"{stage.label()} is not computed while a plan is made.")


def main() -> None:
    """Answer the request on standard input; ends with a message where it cannot be answered.

    The first argument, where there is one, is the folder with tokens that the store keeps; the second is the number of
    an open file, a terminal, to show progress on.
    """
    tokens = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with ExitStack() as during:
        folder = during.enter_context(tempfile.TemporaryDirectory())
        shown = during.enter_context(os.fdopen(int(sys.argv[2]), "w")) if len(sys.argv) > 2 else None
        try:
            io = planning(Path(folder), tokens, shown)
            found = counted(LengthsAsked.model_validate_json(sys.stdin.read()), io)
        except BenchError as error:
            sys.stdout.write(str(error))  # standard error has what libraries say
            sys.exit(REFUSED)
    sys.stdout.write(found.model_dump_json())


if __name__ == "__main__":
    main()
