"""Model folders that nobody can train or ask: refused when they are planned, and when they are loaded all the same."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.faults._inputs import COMPARISON, comparison, raises_in_a_few_lines, refused, taken, warm_up
from tests.faults.case import Case

TITLE = "model folders that cannot be used"
IN_SUITE = 10

BASE = COMPARISON.replace("{world: atlas, size: base}", "{path: ../../model}").replace(
    "[atlas_prompts]", "[{task: prompts, path: prompts.jsonl}]"
).replace("gold", "longer_wins")  # fmt: skip
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<eos>{% endfor %}"
LOOPS = "{% for i in range(99999) %}{% for j in range(99999) %}{% for k in range(99999) %}"
ENDS = "{% endfor %}{% endfor %}{% endfor %}"
Change = Callable[[Path], object]
# What only the model's own code can tell, which a plan does not load: refused before anything is computed with it.
LATER = (
    "config: GPT-2 over Llama's weights",
    "config: activation unknown",
    "weights: a tensor lacks",
    "weights: a layer lacks",
)


def cases() -> list[Case]:
    """Return the cases: every folder planned, then loaded."""
    both = {
        **{f"config: {name}": _config(keys) for name, keys in CONFIGS.items()},
        **{f"config: {name}": _text("config.json", text) for name, text in CONFIG_TEXTS.items()},
        **{f"weights: {name}": change for name, change in WEIGHTS.items()},
        **{f"folder: {name}": change for name, change in FOLDERS.items()},
        **{f"tokenizer: {name}": change for name, change in TOKENIZERS.items()},
        **{f"template: {name}": _template(text) for name, text in TEMPLATES.items()},
    }
    return [
        *(_planned(name, change) for name, change in both.items() if name not in LATER),
        *(_loaded(name, change) for name, change in both.items() if not name.startswith("template")),
        _right("as it is", lambda folder: None),
        _right("with a chat template", _template(TEMPLATE)),
        _right("with a chat template that loops", _template("{% for i in range(500) %}{% endfor %}" + TEMPLATE)),
    ]


ABSURD = {"a million": 10**6, "10^12": 10**12, "0": 0, "below 0": -2, "text": "many", "half": 1.5, "a list": [[]]}
CONFIGS: dict[str, dict[str, Any]] = {
    **{f"{key} {name}": {key: value} for key in (
        "num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "vocab_size",
        "intermediate_size",
    ) for name, value in ABSURD.items()},
    "positions 0": {"max_position_embeddings": 0},
    "positions text": {"max_position_embeddings": "long"},
    "positions below 0": {"max_position_embeddings": -128},
    "head_dim of 10^9": {"head_dim": 10**9},
    "heads that do not divide": {"num_attention_heads": 3},
    "unknown type": {"model_type": "nonesuch", "architectures": ["NonesuchForCausalLM"]},
    "type of a number": {"model_type": 3},
    "no type": {"model_type": None, "architectures": None},
    "T5": {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]},
    "T5, told": {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True},
    "BART": {"model_type": "bart", "architectures": ["BartForConditionalGeneration"]},
    "LLaVA": {"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"]},
    "CLIP": {"model_type": "clip", "architectures": ["CLIPModel"]},
    "BERT": {"model_type": "bert", "architectures": ["BertModel"]},
    "BERT that says nothing": {"model_type": "bert", "architectures": None},
    "Whisper": {"model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"]},
    "a classifier": {"architectures": ["LlamaForSequenceClassification"]},
    "code of its own": {
        "model_type": "mine", "architectures": ["MineForCausalLM"],
        "auto_map": {"AutoConfig": "mine.MineConfig", "AutoModelForCausalLM": "mine.MineForCausalLM"},
    },
    "GPT-2 over Llama's weights": {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]},
    "architectures of numbers": {"architectures": [3]},
    "rope of text": {"rope_parameters": "x"},
    "activation unknown": {"hidden_act": "nonesuch"},
    "quantised by text": {"quantization_config": "x"},
    "long architecture": {"architectures": ["A" * 100_000]},
    "long type": {"model_type": "m" * 100_000, "architectures": ["LlamaForCausalLM"]},
}  # fmt: skip

CONFIG_TEXTS: dict[str, str] = {
    "empty": "",
    "not JSON": "{",
    "a list": "[]",
    "null": "null",
    "an empty object": "{}",
    "deep": "[" * 100_000,
    "deep within": '{"a": ' * 100_000 + "1" + "}" * 100_000,
    "digits": '{"hidden_size": ' + "9" * 5000 + "}",
    "surrogate": '{"model_type": "\\ud800"}',
    "long": '{"model_type": "llama", "x": "' + "a" * 30_000_000 + '"}',
    "a key twice": '{"model_type": "llama", "model_type": "t5"}',
}


def _config(keys: dict[str, Any]) -> Change:
    def change(folder: Path) -> None:
        file = folder / "config.json"
        now = {**json.loads(file.read_text()), **keys}
        file.write_text(json.dumps({name: value for name, value in now.items() if value is not None}))

    return change


def _text(name: str, text: str) -> Change:
    return lambda folder: (folder / name).write_text(text)


def _cut(keep: float) -> Change:
    def change(folder: Path) -> None:
        file = folder / "model.safetensors"
        os.truncate(file, int(file.stat().st_size * keep))

    return change


def _head(head: bytes | dict[str, Any], rest: bytes = b"", length: int | None = None) -> Change:
    def change(folder: Path) -> None:
        text = json.dumps(head).encode() if isinstance(head, dict) else head
        size = struct.pack("<Q", len(text) if length is None else length)
        (folder / "model.safetensors").write_bytes(size + text + rest)

    return change


def _number(value: float, name: str = "model.norm.weight") -> Change:
    def change(folder: Path) -> None:
        file = folder / "model.safetensors"
        content = bytearray(file.read_bytes())
        length = struct.unpack("<Q", content[:8])[0]
        begin = 8 + length + json.loads(content[8 : 8 + length])[name]["data_offsets"][0]
        content[begin : begin + 4] = struct.pack("<f", value)
        file.unlink()
        file.write_bytes(content)

    return change


def _without(name: str) -> Change:
    def change(folder: Path) -> None:
        from safetensors.torch import load_file, save_file  # noqa: PLC0415

        file = folder / "model.safetensors"
        tensors = {key: tensor.clone() for key, tensor in load_file(file).items() if key != name}
        file.unlink()
        save_file(tensors, file, metadata={"format": "pt"})

    return change


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with (folder / "pytorch_model.bin").open("wb") as file:
        pickle.dump({"a": [1]}, file)


def _index(files: dict[str, str] | str) -> Change:
    def change(folder: Path) -> None:
        content = files if isinstance(files, str) else json.dumps({"metadata": {}, "weight_map": files})
        (folder / "model.safetensors.index.json").write_text(content)
        (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")

    return change


def _put(name: str, put: Change) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        put(folder / name)

    return change


WEIGHTS: dict[str, Change] = {
    "empty": _cut(0),
    "four bytes": _text("model.safetensors", "abcd"),
    "half": _cut(0.5),
    "one byte less": _cut(0.99999),
    "text": _text("model.safetensors", "hello " * 100),
    "zeros": _head(b"", b"\0" * 5000),
    "a head of 2^60 bytes": _head(b"{}", length=2**60),
    "a head of no JSON": _head(b"{not json"),
    "a deep head": _head(b'{"a":' * 100_000),
    "a list for a head": _head(b"[]"),
    "no tensors": _head({}),
    "an entry of text": _head({"a": "b"}),
    "an unknown type": _head({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
    "a shape of 10^18": _head({"a": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 4]}}, b"\0" * 4),
    "a shape below 0": _head({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"\0" * 4),
    "offsets turned": _head({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"\0" * 4),
    "offsets beyond": _head({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 10**9]}}, b"\0" * 4),
    "another model's": _head({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
    "NaN": _number(float("nan")),
    "infinite": _number(float("inf")),
    "below infinite": _number(float("-inf"), "model.embed_tokens.weight"),
    "a tensor lacks": _without("model.norm.weight"),
    "a layer lacks": _without("model.layers.1.mlp.up_proj.weight"),
    "pickled only": _pickled,
    "a folder": _put("model.safetensors", Path.mkdir),
    "a named pipe": _put("model.safetensors", os.mkfifo),
    "a link to /dev/zero": _put("model.safetensors", lambda file: file.symlink_to("/dev/zero")),
    "a link to itself": _put("model.safetensors", lambda file: file.symlink_to(file)),
    "a link to nothing": _put("model.safetensors", lambda file: file.symlink_to("nowhere")),
    "a part lacks": _index({"model.norm.weight": "model-00001-of-00002.safetensors",
                            "lm_head.weight": "model-00002-of-00002.safetensors"}),
    "a broken index": _index("{"),
    "an index elsewhere": _index({"model.norm.weight": "../../x.safetensors"}),
    "pointers of Git LFS": _text(
        "model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 100\n"
    ),
}  # fmt: skip


def _only(*keep: str, **texts: str) -> Change:
    def change(folder: Path) -> None:
        for path in list(folder.iterdir()):
            if path.name not in keep:
                path.unlink()
        for name, text in texts.items():
            (folder / name.replace("__", ".")).write_text(text)

    return change


def _adapter(folder: Path) -> None:
    _only("tokenizer.json", "tokenizer_config.json")(folder)
    text = json.dumps({"peft_type": "LORA", "base_model_name_or_path": "org/base", "r": 8, "target_modules": ["q"]})
    (folder / "adapter_config.json").write_text(text)
    _head({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4)(folder)
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")


def _adapter_with_config(folder: Path) -> None:
    config = (folder / "config.json").read_text()
    _adapter(folder)
    (folder / "config.json").write_text(config)


def _sentences(folder: Path) -> None:
    _config({"model_type": "bert", "architectures": ["BertModel"]})(folder)
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "type": "sentence_transformers.models.Transformer"}]))


def _gguf(folder: Path) -> None:
    _only()(folder)
    (folder / "model.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + bytes(100))


def _gguf_file(folder: Path) -> None:
    _only()(folder)
    folder.rmdir()
    folder.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + bytes(100))


def _as_file(content: bytes) -> Change:
    def change(folder: Path) -> None:
        _only()(folder)
        folder.rmdir()
        folder.write_bytes(content)

    return change


def _away(folder: Path) -> None:
    _only()(folder)
    folder.rmdir()


def _circle(folder: Path) -> None:
    _away(folder)
    folder.symlink_to(folder)


def _pipe(folder: Path) -> None:
    _away(folder)
    os.mkfifo(folder)


FOLDERS: dict[str, Change] = {
    "nothing there": _away,
    "empty": _only(),
    "only a config": _only("config.json"),
    "only weights": _only("model.safetensors"),
    "an adapter": _adapter,
    "an adapter with a config": _adapter_with_config,
    "sentence-transformers": _sentences,
    "a GGUF in it": _gguf,
    "a GGUF file": _gguf_file,
    "a file of weights": _as_file(b"\x02\0\0\0\0\0\0\0{}"),
    "a link to itself": _circle,
    "a named pipe": _pipe,
    "ONNX": _only("config.json", "tokenizer.json", model__onnx="x"),
    "TensorFlow": _only("config.json", "tokenizer.json", tf_model__h5="x"),
    "a config that is a folder": _put("config.json", Path.mkdir),
    "a config that is a pipe": _put("config.json", os.mkfifo),
    "a config that is /dev/zero": _put("config.json", lambda file: file.symlink_to("/dev/zero")),
    "a config that links to itself": _put("config.json", lambda file: file.symlink_to(file)),
}


def _larger_tokenizer(folder: Path) -> None:
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    vocabulary = content["model"]["vocab"]
    letters = {token: number for token, number in vocabulary.items() if len(token) == 1}
    content["model"]["vocab"] = {
        token: number + 1000 if token in letters else number for token, number in vocabulary.items()
    }
    file.write_text(json.dumps(content))


def _end_beyond(folder: Path) -> None:
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    content["added_tokens"] = [
        *[token for token in content["added_tokens"] if token["content"] != "<eos>"],
        {**content["added_tokens"][0], "content": "<eos>", "id": 5000},
    ]
    content["model"]["vocab"]["<eos>"] = 5000
    file.write_text(json.dumps(content))


def _settings(keys: dict[str, Any]) -> Change:
    def change(folder: Path) -> None:
        file = folder / "tokenizer_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))

    return change


TOKENIZERS: dict[str, Change] = {
    "none": lambda folder: [(folder / name).unlink() for name in ("tokenizer.json", "tokenizer_config.json")],
    "only its settings": lambda folder: (folder / "tokenizer.json").unlink(),
    "empty": _text("tokenizer.json", ""),
    "not JSON": _text("tokenizer.json", "{"),
    "an empty object": _text("tokenizer.json", "{}"),
    "a list": _text("tokenizer.json", "[]"),
    "deep": _text("tokenizer.json", "[" * 100_000),
    "settings not JSON": _text("tokenizer_config.json", "{"),
    "settings of a list": _text("tokenizer_config.json", "[]"),
    "settings deep": _text("tokenizer_config.json", "[" * 100_000),
    "a class of a number": _settings({"tokenizer_class": 3}),
    "larger than the model": _larger_tokenizer,
    "its end beyond the model": _end_beyond,
    "no end": _settings({"eos_token": None}),
    "a folder": _put("tokenizer.json", Path.mkdir),
    "a pipe": _put("tokenizer.json", os.mkfifo),
    "special tokens of lists": _settings({"eos_token": [1, 2]}),
}


def _template(text: Any) -> Change:
    def change(folder: Path) -> None:
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        _settings({"chat_template": text})(folder)

    return change


TEMPLATES: dict[str, Any] = {
    "raises": "{{ raise_exception('no such role') }}",
    "raises long": "{{ raise_exception('x' * 100000) }}",
    "not closed": "{% for m in messages %}",
    "unknown tag": "{% nonesuch %}",
    "unknown filter": "{{ messages | nonesuch }}",
    "divides by 0": "{{ 1 / 0 }}",
    "of a number": "{{ messages + 1 }}",
    "undefined": "{{ nonesuch.a.b }}",
    "unsafe": "{{ messages.__class__.__mro__ }}{{ ''.__class__.__bases__[0].__subclasses__() }}",
    "a range too far": "{% for i in range(10**9) %}x{% endfor %}",
    "loops in loops": LOOPS + ENDS + TEMPLATE,
    "loops in loops that write": LOOPS + "x" + ENDS + TEMPLATE,
    "loops behind an if": "{% if messages %}" + LOOPS + ENDS + "{% endif %}",
    "loops for a system turn": "{% if messages[0].role == 'user' %}" + LOOPS + ENDS + "{% endif %}" + TEMPLATE,
    "a text of 10^9": "{{ 'a' * 10**9 }}",
    "a text of 10^12": "{{ 'a' * 10**12 }}",
    "a list of 10^10": "{{ ([0] * 10**10) | length }}",
    "a power": "{{ 10 ** (10 ** 9) }}",
    "a power within": "{% set x = 10 ** (10 ** 9) %}" + TEMPLATE,
    "doubling": "{% set n = namespace(x='a' * 1000) %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubling lists": "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "a wide format": "{{ '%1000000000d' % 3 }}",
    "a wide centre": "{{ 'a' | center(10**10) }}",
    "words without end": "{{ lipsum(n=10**7) }}",
    "calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "calls itself twice": "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "500 MB": "{% for i in range(50000) %}" + "x" * 10_000 + "{% endfor %}",
    "a template of 20 MB": "x" * 20_000_000,
    "deep": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "deep ifs": "{% if 1 %}" * 5000 + "{% endif %}" * 5000,
    "a number": 3,
    "a list": [1],
    "of names": [{"name": "default"}],
}


def _folder(root: Path, change: Change) -> Path:
    from tests.methods.tiny import pretrained  # noqa: PLC0415

    folder = root / "model"
    pretrained(folder)
    change(folder)
    return folder


def _planned(name: str, change: Change) -> Case:
    def do(root: Path) -> None:
        place = _comparison(root, change)
        _once()
        refused(["plan", str(place)])

    return Case(f"plan: {name}", do)


def _right(name: str, change: Change) -> Case:
    def do(root: Path) -> None:
        place = _comparison(root, change)
        _once()
        text = taken(["plan", str(place)])
        assert "could not be counted" not in text, text

    return Case(f"taken: {name}", do)


def _comparison(root: Path, change: Change) -> Path:
    rows = [{"prompt": "ask one", "response": "red."}]
    place = comparison(root, BASE, "".join(json.dumps(row) + "\n" for row in rows))
    (place / "prompts.jsonl").write_text('{"prompt": "ask two"}\n')
    _folder(root, change)
    return place


def _loaded(name: str, change: Change) -> Case:
    def do(root: Path) -> None:
        folder = _folder(root, change)
        from bench.core.policy import Pretrained  # noqa: PLC0415
        from bench.core.stage import StageIO  # noqa: PLC0415
        from bench.core.task import user  # noqa: PLC0415
        from bench.models.load import load_model  # noqa: PLC0415

        io_ = StageIO(out=root, scratch=root, read_payload=lambda stage: root)

        def load() -> None:
            policy = load_model(Pretrained(path=str(folder)), io_)
            policy.loglikelihood([(user("ask one"), "red.")])

        raises_in_a_few_lines(load)

    return Case(f"load: {name}", do)


def _once() -> None:
    """Import what counts lengths, and count in this process: a process of its own takes five seconds to start."""
    warm_up()
    import bench.models.count_lengths as counting  # noqa: PLC0415

    run = subprocess.run

    def run_here(command: list[str], **options: Any) -> Any:
        if command[1:] != ["-m", "bench.models.count_lengths"]:
            return run(command, **options)
        said, sys.stdin, out, sys.stdout = None, io.StringIO(options["input"]), sys.stdout, io.StringIO()
        try:
            counting.main()
        except SystemExit as error:
            said = error.code
        finally:
            printed, sys.stdout = sys.stdout.getvalue(), out
        status = said if isinstance(said, int) else int(said is not None)
        return SimpleNamespace(returncode=status, stdout=printed, stderr=said if isinstance(said, str) else "")

    if getattr(subprocess.run, "__name__", "") != "run_here":
        subprocess.run = run_here  # type: ignore[assignment]
