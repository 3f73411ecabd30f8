"""A policy as a folder that transformers loads by itself: weights, configuration, tokenizer and chat template."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

from transformers import GenerationConfig

from bench.core.errors import StageError
from bench.core.policy import Built, Pretrained, Tuned
from bench.core.stage import StageIO
from bench.models.adapters import ADAPTER_CONFIG
from bench.models.chat import PLACEHOLDER
from bench.models.hf import HFPolicy
from bench.models.load import PAYLOAD, load_whole, save_weights
from bench.models.turn_end import turn_end

log = logging.getLogger(__name__)

BASE_FOLDER = "base"

# The layout of bench.models.chat as a chat template: one user turn as it is, several turns as User: and Assistant:.
LAYOUT = (
    "{%- if messages | length == 1 and messages[0]['role'] == 'user' -%}"
    "{%- set text = messages[0]['content'] -%}"
    "{%- else -%}"
    "{%- set turns = namespace(text='') -%}"
    "{%- for message in messages -%}"
    "{%- set turns.text = turns.text + message['role'] | capitalize + ': ' + message['content'] + '\\n\\n' -%}"
    "{%- endfor -%}"
    "{%- set text = turns.text + 'Assistant:' -%}"
    "{%- endif -%}"
)


def write_model(spec: Pretrained | Built | Tuned, io: StageIO, folder: Path) -> None:
    """Write one model's weights in float32, its configuration, tokenizer and chat template into a new folder.

    Adapters are merged in float32; where one changes embeddings or head alone and both share a matrix, the model that
    is written has two. Dropout is 0 in the configuration, as it was in training. Raises StageError for what is not one
    model.
    """
    policy = load_whole(spec, io)
    _finish(policy)
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(policy, folder)


def write_adapter(spec: Tuned, io: StageIO, folder: Path) -> None:
    """Write the LoRA adapter of a policy, with its tokenizer, into a new folder.

    A base from a hub repository is named in the adapter's configuration; any other base is written to ``base`` below
    the folder, in float32 and with the adapters that it has itself merged; so is one that was loaded in 4 or 8 bits, as
    its weights were computed with. Raises StageError where training changed
    whole weights.
    """
    source = io.read(spec.by) / PAYLOAD
    if not (source / ADAPTER_CONFIG).is_file():
        raise StageError("this policy was trained in all its weights: it has no adapter. Leave --adapter away.")
    policy = load_whole(spec.base, io)
    _finish(policy)
    folder.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        shutil.copyfile(path, folder / path.name)
    where, revision = BASE_FOLDER, None
    base = spec.base
    untouched = isinstance(base, Pretrained) and base.load_in is None and not base.adapters
    if untouched and isinstance(base, Pretrained) and base.repo is not None:
        where, revision = base.repo, base.revision
    else:
        save_weights(policy, folder / BASE_FOLDER)
    policy.tokenizer.save_pretrained(folder)
    config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    config |= {"base_model_name_or_path": where, "revision": revision}
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (folder / ADAPTER_CONFIG).write_text(text, encoding="utf-8")


def chat_template(template: str) -> str:
    """Return the Jinja text by which transformers lays out a chat as this program does with a plain template.

    ``template`` is a text with ``{prompt}`` in it. The beginning token, where the tokenizer has one, stands in front
    unless the text has it there already.
    """
    whole = " + text + ".join(json.dumps(part) for part in template.split(PLACEHOLDER))
    begin = "{%- if bos_token and not text.startswith(bos_token) -%}{{ bos_token }}{%- endif -%}"
    return f"{LAYOUT}{{%- set text = {whole} -%}}{begin}{{{{ text }}}}"


def _finish(policy: HFPolicy) -> None:
    """Give the tokenizer the chat template and the end token, and the model the ends, that this program used.

    A plain template writes no end, so the folder's ``eos_token`` becomes the token that ends a response. A chat
    template of the model's own keeps its word, and where ``end_token`` named another the log says so.
    """
    tokenizer, end = policy.tokenizer, policy.tokens.end
    if tokenizer.chat_template is None:
        tokenizer.chat_template = chat_template(policy.template)
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
    elif end != turn_end(tokenizer, tokenizer.chat_template, None).token:
        log.warning(
            "%s: its chat template ends a turn with another token than end_token, %r. The exported model stops at "
            "both; where the folder is trained or scored again, set `end_token:` beside it",
            tokenizer.name_or_path,
            tokenizer.convert_ids_to_tokens(end),
        )
    config: GenerationConfig | None = policy.model.generation_config
    if config is not None:
        ends = sorted(policy.end_ids)
        config.eos_token_id = ends[0] if len(ends) == 1 else ends or None
        config.pad_token_id = policy.pad_id
