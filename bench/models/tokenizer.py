"""What reads text for a policy and needs no weights: its model's tokenizer and configuration, its instructions.

Nothing here imports torch, so that a plan counts tokens without it and by what stages cut with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os.path import commonprefix
from pathlib import Path
from typing import Any, Protocol

from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)
from transformers.models.auto.tokenization_auto import get_tokenizer_config
from transformers.utils import logging

from bench.core.datasets import Reply
from bench.core.errors import DataError, StageError
from bench.core.files import digest_of_folder, kind_at
from bench.core.formats.adapter_files import read_adapter
from bench.core.formats.gguf_header import SUFFIX, header_of
from bench.core.formats.model_files import check_encoder_decoder, check_model_files, check_sizes
from bench.core.frozen import digest_of_file
from bench.core.machine_limits import limit_of
from bench.core.policy import Adapter, Chat, PolicySpec, Pretrained, as_read, root
from bench.models.chat import lay_out_all
from bench.models.lengths import TokenRow, Yielding
from bench.models.limits.reasons import in_one_line
from bench.models.rendering import DEFAULT, default_template, template_of
from bench.models.response_tokens import ResponseTokens
from bench.models.turn_end import around

_MODEL = "A model needs a config.json that transformers knows without code of its own"
_TOKENIZER_CONFIG = "tokenizer_config.json"
# Files of a repository that an adapter needs: never pickled weights.
_OF_AN_ADAPTER = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]
_TOKENIZER = "A model needs a tokenizer, saved beside its weights by save_pretrained"


class PromptReader(Protocol):
    """What reads a prompt: instructions, tokenizer, and the template of a tokenizer that has none."""

    @property
    def spec(self) -> PolicySpec:
        """The policy, for the instructions that it reads."""
        ...

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer."""
        ...

    @property
    def template(self) -> str:
        """The plain template."""
        ...

    @property
    def embeddings(self) -> int | None:
        """How many token ids, counted from 0, the model has an embedding for; None where that is not known."""
        ...


class ResponseWriter(PromptReader, Protocol):
    """What reads prompts and writes responses to them."""

    @property
    def tokens(self) -> ResponseTokens:
        """How its tokenizer writes responses."""
        ...


class RowReader(Protocol):
    """What reads rows of data: one or several readers of prompts, and one way to write responses."""

    @property
    def parts(self) -> Sequence[ResponseWriter]:
        """Who reads every prompt; the first of them writes the responses."""
        ...

    def response(self, text: str) -> list[int]:
        """Return the ids of a response to any prompt, its end token last."""
        ...

    def cut_response(self, text: str) -> list[int]:
        """Return the ids of a response that was cut off: neither its end nor what stands before that follows."""
        ...


def load_tokenizer(spec: Pretrained) -> tuple[PreTrainedTokenizerBase, PreTrainedConfig]:
    """Return the tokenizer and configuration of a model, without its weights; raises StageError as ``load_model``."""
    where = place_of(spec)
    return tokenizer_of(spec), config_at(where, spec.revision)


def tokenizer_of(spec: Pretrained) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a model: the one that its last adapter was saved with, where one was.

    Whoever trained the adapter trained it on what that tokenizer and its chat template made of the texts.
    """
    for adapter in reversed(spec.adapters):
        folder = folder_of(adapter)
        if kind_at(folder / _TOKENIZER_CONFIG) == "file":
            return tokenizer_at(str(folder), None)
    return tokenizer_at(place_of(spec), spec.revision)


def config_at(where: str, revision: str | None) -> PreTrainedConfig:
    """Return the configuration of a causal language model, or of an encoder-decoder that is known here.

    Raises StageError, in a line, for any other.
    """
    with quietly():
        try:
            config = AutoConfig.from_pretrained(**files_at(where, revision), trust_remote_code=False)
        except Exception as error:  # whatever stands in the files of others
            if limit_of(error) is not None:
                raise
            raise StageError(f"cannot load the model {where}: {in_one_line(error)}. {_MODEL}") from error
    if config.is_encoder_decoder:
        check_encoder_decoder(config.to_dict(), where, f"a model of the type {config.model_type!r}")
        check_sizes(config.to_dict(), where)
        return config
    encoder = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False)
    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or encoder:
        raise StageError(
            f"cannot load the model {where}: a model of the type {config.model_type!r} is no causal language model "
            "that transformers knows. Give a decoder-only one, such as Llama or Qwen."
        )
    check_sizes(config.to_dict(), where)
    return config


def tokenizer_at(where: str, revision: str | None) -> PreTrainedTokenizerBase:
    """Return the tokenizer as its files describe it.

    For some architectures (Qwen2) AutoTokenizer puts the architecture's own way to split a text in the place of what
    tokenizer.json says, even where the files name no such class; then the file is read as it stands. Raises StageError,
    in a line, where there is none or it cannot be used, and for a chat template that never ends. Of several templates
    the one called ``default`` is taken, as transformers does; the log says so.
    """
    with quietly():
        try:
            _check_regular(where)
            gguf = Path(where).suffix == SUFFIX
            declared = None if gguf else get_tokenizer_config(where, revision=revision).get("tokenizer_class")
            kind = PreTrainedTokenizerFast if declared in ("PreTrainedTokenizerFast", "TokenizersBackend") else None
            if kind is None:
                found = AutoTokenizer.from_pretrained(**files_at(where, revision), trust_remote_code=False)
            else:
                found = kind.from_pretrained(where, revision=revision)
        except Exception as error:  # whatever stands in the files of others
            if limit_of(error) is not None:
                raise
            raise StageError(
                f"cannot load the model {where}: its tokenizer: {in_one_line(error)}. {_TOKENIZER}"
            ) from error
    if isinstance(found.chat_template, dict) and DEFAULT in found.chat_template:
        found.chat_template = default_template(where, tuple(found.chat_template), found.chat_template[DEFAULT])
    if found.chat_template is not None:
        template_of(found)
    return found


def _check_regular(where: str) -> None:
    """Raise OSError for a folder in which something that is read is a pipe, a device or a folder."""
    for file in Path(where).glob("*.json") if Path(where).is_dir() else ():
        if kind_at(file) != "file":
            raise OSError(f"{file.name} is no file")


@contextmanager
def quietly() -> Iterator[None]:
    """Keep transformers from printing reports and warnings of many lines; what they are about is raised or told."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def place_of(spec: Pretrained) -> str:
    """Return the folder, GGUF file or repository of a pretrained spec, what is local checked against its digest."""
    if spec.path is None:
        if spec.repo is None:
            raise StageError("a pretrained policy needs a path or a repo. Set one of them.")
        return spec.repo
    place = Path(spec.path)
    if place.suffix == SUFFIX:
        header_of(place, spec.path)
        found = digest_of_file(place)
    else:
        check_model_files(place, spec.path)
        found = digest_of_folder(place)
    if spec.digest is not None and found != spec.digest:
        raise DataError(
            f"{spec.path}: the model's files have changed: their digest is {found}, not {spec.digest}. "
            "Restore the files, or plan again with the new ones."
        )
    return spec.path


def files_at(where: str, revision: str | None) -> dict[str, Any]:
    """Return the arguments that tell transformers where a model's files are: a GGUF file by its folder and its name."""
    place = Path(where)
    if place.suffix == SUFFIX:
        return {"pretrained_model_name_or_path": str(place.parent), "gguf_file": place.name}
    return {"pretrained_model_name_or_path": where, "revision": revision}


def folder_of(adapter: Adapter) -> Path:
    """Return the folder of an adapter, from the hub's cache where it is a repository's.

    Raises DataError for one that is not what was declared or is not computed here, StageError where it cannot be had.
    """
    if adapter.path is None:
        folder = Path(_fetched(str(adapter.repo), adapter.revision))
    else:
        folder = Path(adapter.path)
        found = digest_of_folder(folder)
        if adapter.digest is not None and found != adapter.digest:
            raise DataError(
                f"{folder}: the adapter's files have changed: their digest is {found}, not {adapter.digest}. "
                "Restore the files, or plan again with the new ones."
            )
    read_adapter(folder, str(folder) if adapter.repo is None else adapter.repo)
    return folder


def _fetched(repo: str, revision: str | None) -> str:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - most models have no adapter from there

    try:
        return snapshot_download(repo, revision=revision, allow_patterns=_OF_AN_ADAPTER)
    except Exception as error:  # a server and a cache may fail in any way
        raise StageError(
            f"cannot load the adapter {repo}: {in_one_line(error)}. A repository must be reachable or cached already."
        ) from error


def context_of(config: PreTrainedConfig) -> int | None:
    """Return how many tokens a model can read by its configuration, under whatever name; None without a limit."""
    limit = getattr(config.get_text_config(), "max_position_embeddings", None)
    return None if limit is None else int(limit)


def embeddings_of(config: PreTrainedConfig) -> int | None:
    """Return how many embeddings a model has by its configuration; None where that does not say."""
    found = getattr(config.get_text_config(), "vocab_size", None)
    return None if found is None else int(found)


def template_for(spec: PolicySpec, tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> str:
    """Return the template of a policy of one model, for a tokenizer that has no chat template.

    An encoder has learnt to read a prompt as its tokenizer writes any text, with its end token behind it (T5) or with
    others around it (BART): these are put around the template. Nothing follows a prompt there, so it is whole.
    """
    beginning = root(spec)
    template = beginning.template if isinstance(beginning, Pretrained) else "{prompt}"
    if not config.is_encoder_decoder or tokenizer.chat_template is not None:
        return template
    before, behind = around(tokenizer)
    return template_between(before, template, behind)


def template_between(before: str, template: str, behind: str) -> str:
    """Return a template with texts around it, each left away where it stands there already."""
    begun = template if template.startswith(before) else before + template
    return begun if begun.endswith(behind) else begun + behind


def end_token_of(spec: PolicySpec) -> str | None:
    """Return the token that was chosen to end a response of a policy's first model; None where its template says."""
    beginning = root(spec)
    return beginning.end_token if isinstance(beginning, Pretrained) else None


def token_row(policy: RowReader, chat: Chat, replies: Sequence[Reply]) -> TokenRow:
    """Return a chat and responses to it as tokens, the prompt as each part reads it; nothing is cut."""
    prompts = tuple(yielding(part, chat) for part in policy.parts)
    ids = [reply_ids(policy, reply) for reply in replies]
    return TokenRow(prompts, ids, [reply.ended for reply in replies])


def reply_ids(policy: RowReader, reply: Reply) -> list[int]:
    """Return the ids of a response: behind one that was cut off there is no end token."""
    return policy.response(reply.text) if reply.ended else policy.cut_response(reply.text)


def yielding(part: PromptReader, chat: Chat) -> Yielding:
    """Return a prompt as a part reads it, with what may give way; see ``yielding_all``."""
    return yielding_all(part, part.spec, [chat])[0]


def yielding_all(part: PromptReader, spec: PolicySpec, chats: Sequence[Chat]) -> list[Yielding]:
    """Return prompts as a part reads them with the instructions of ``spec``, with what may give way of each.

    That is the content of every turn but a system turn, without the instructions: what the same chat has at its end
    when it is read without them.
    """
    read = [as_read(spec, chat) for chat in chats]
    instructed = [own != chat for own, chat in zip(read, chats, strict=True)]
    whole = _laid_out(part, read)
    plain = iter(_laid_out(part, [chat for chat, own in zip(chats, instructed, strict=True) if own]))
    return [_within(one, next(plain)) if own else one for one, own in zip(whole, instructed, strict=True)]


def _within(whole: Yielding, plain: Yielding) -> Yielding:
    """Return a prompt read behind instructions, of which gives way what gives way of it without them."""
    shift = len(whole.ids) - len(plain.ids)
    first = len(whole.ids) - _alike(whole.ids, plain.ids)
    content = (range(max(one.start + shift, first), one.stop + shift) for one in plain.content)
    return Yielding(whole.ids, tuple(one for one in content if one))


def check_readable(part: PromptReader, ids: Sequence[int], what: str) -> None:
    """Raise StageError where ids of ``what`` lie outside of the model's embeddings."""
    highest = max(ids, default=0)
    if part.embeddings is not None and highest >= part.embeddings:
        raise StageError(
            f"the token {part.tokenizer.convert_ids_to_tokens(highest)!r} of {what} has the id {highest}, and the "
            f"model {part.tokenizer.name_or_path!r} has {part.embeddings} embeddings. Its tokenizer was given "
            "tokens that the model never had: use the tokenizer that belongs to it, or enlarge the embeddings."
        )


def _laid_out(part: PromptReader, chats: Sequence[Chat]) -> list[Yielding]:
    found = []
    for one in lay_out_all(part.tokenizer, chats, part.template):
        check_readable(part, one.ids, "a prompt")
        contents = (range(content.start, content.stop) for content in one.contents if content.role != "system")
        found.append(Yielding(one.ids, tuple(content for content in contents if content)))
    return found


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two texts have in common, read from their ends."""
    return len(commonprefix([list(reversed(one)), list(reversed(other))]))
