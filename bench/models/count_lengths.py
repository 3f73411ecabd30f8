"""``python -m bench.models.count_lengths``: how long data and prompts are, counted without torch.

A process of its own, because tokenizers come with transformers, which takes seconds to import, and a plan that finds
its counts kept needs none. It counts with what stages cut with (``bench.models.lengths``, ``bench.models.tokenizer``),
so the numbers are theirs. A request comes in as JSON and the answer goes out as JSON.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

if __name__ == "__main__":
    # Counting needs no torch. But transformers imports it wherever it is there, which takes longer than all else here;
    # what is None in this table counts as not installed. Only before transformers is imported, and in this process.
    sys.modules["torch"] = None  # type: ignore[assignment]

from transformers import PreTrainedTokenizerBase

from bench.core.datasets import is_unpaired, read_demonstrations, read_preferences, read_prompts, read_unpaired
from bench.core.errors import BenchError, StageError
from bench.core.formats.model_files import weight_files
from bench.core.formats.weight_numbers import check_numbers
from bench.core.lengths import REFUSED, DataAsked, LengthCounts, LengthsAsked, LengthsFound, PromptsAsked
from bench.core.policy import PolicySpec, Pretrained, root
from bench.core.stage import Stage, StageIO
from bench.models.lengths import fit_rows, fitting_prompts, longest_of
from bench.models.response_tokens import ResponseTokens, response_tokens
from bench.models.tokenizer import (
    check_readable,
    context_of,
    embeddings_of,
    end_token_of,
    load_tokenizer,
    token_row,
    yielding,
)


@dataclass(frozen=True)
class Weightless:
    """What reads rows of data: a policy without its weights, the only part of itself."""

    spec: PolicySpec
    tokenizer: PreTrainedTokenizerBase
    template: str
    context: int | None
    embeddings: int | None

    def response(self, text: str) -> list[int]:
        """Return the ids of a response, its end token last."""
        return self._readable(self._tokens().ids(text))

    def cut_response(self, text: str) -> list[int]:
        """Return the ids of a response that was cut off, without an end."""
        return self._readable(self._tokens().cut_ids(text))

    def _readable(self, ids: list[int]) -> list[int]:
        check_readable(self, ids, "a response")
        return ids

    def _tokens(self) -> ResponseTokens:
        return response_tokens(self.tokenizer, self.tokenizer.chat_template, end_token_of(self.spec))

    def check_end(self) -> None:
        """Raise StageError where the model has no embedding for what ends a response."""
        check_readable(self, [self._tokens().end], "what ends a response")

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
    if start.path is not None:
        for file in weight_files(Path(start.path)):
            check_numbers(file, f"{start.path}: {file.name}")
    reader = Weightless(spec, tokenizer, start.template, context_of(config), embeddings_of(config))
    reader.check_end()
    return reader


def counted_data(asked: DataAsked, readers: Sequence[Weightless]) -> LengthCounts:
    """Return what the stages that train on the data will cut and drop of it; ``readers`` are those of the request."""
    reader = readers[0]
    io = StageIO(out=Path(), scratch=Path(), read_payload=_no_payload)
    room = longest_of(asked.max_length, reader.context)
    if asked.new_tokens is not None:
        prompts = [yielding(reader, prompt.chat).ids for prompt in read_prompts(asked.data, io)]
        return fitting_prompts(prompts, room - asked.new_tokens)[1]
    pairs = read_unpaired if is_unpaired(asked.data) else read_preferences
    read = read_demonstrations if asked.rows_of == "demonstrations" else pairs
    rows = (
        replace(
            token_row(reader, row.prompt, row.replies()), prompts=tuple(yielding(one, row.prompt) for one in readers)
        )
        for row in read(asked.data, io)
    )
    return fit_rows(asked.rows_of, rows, room)[1]


def counted_prompts(asked: PromptsAsked, reader: Weightless) -> int:
    """Return how many prompts leave no room for ``new_tokens`` in what the model can read."""
    if reader.context is None:
        return 0
    room = reader.context - asked.new_tokens
    return sum(len(yielding(reader, chat).ids) > room for chat in asked.chats)


def counted(asked: LengthsAsked) -> LengthsFound:
    """Return the answer to a request; each model's tokenizer is loaded once."""
    specs = [*(reader for one in asked.data for reader in one.readers), *(one.reader for one in asked.prompts)]
    readers = {spec: reader_of(spec) for spec in dict.fromkeys(specs)}
    return LengthsFound(
        data=tuple(counted_data(one, [readers[spec] for spec in one.readers]) for one in asked.data),
        too_long=tuple(counted_prompts(one, readers[one.reader]) for one in asked.prompts),
    )


def _no_payload(stage: Stage) -> Path:
    raise StageError(f"{stage.label()} is not computed while a plan is made.")


def main() -> None:
    """Answer the request on standard input; ends with a message where it cannot be answered."""
    try:
        found = counted(LengthsAsked.model_validate_json(sys.stdin.read()))
    except BenchError as error:
        sys.stdout.write(str(error))  # standard error has what libraries say
        sys.exit(REFUSED)
    sys.stdout.write(found.model_dump_json())


if __name__ == "__main__":
    main()
