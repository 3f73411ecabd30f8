"""From a policy as a value to a policy in memory, and back to files whose bytes are reproducible."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from peft import PeftModel
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar

from bench.core.errors import StageError, some_of
from bench.core.formats.adapter_files import read_adapter
from bench.core.machine_limits import limit_of
from bench.core.method import Lora
from bench.core.policy import (
    BestOf,
    Built,
    Instructed,
    Kept,
    Outputs,
    PolicySpec,
    Pretrained,
    Proxy,
    Tuned,
    computed_in,
    root,
    weights_of,
)
from bench.core.stage import StageIO
from bench.models.adapters import ADAPTER_CONFIG, NEW, is_adapted, merged, with_adapter, with_merged, with_new_adapter
from bench.models.hf import HFPolicy
from bench.models.limits.reasons import in_one_line
from bench.models.local import LocalPolicy
from bench.models.masters import set_master, stored_as
from bench.models.packing.halves import check_halves
from bench.models.proxy import ProxyPolicy, terms_of
from bench.models.quantised.load_packed import pack_loaded, quantised_of, unpack_loaded
from bench.models.tokenizer import (
    config_at,
    files_at,
    folder_of,
    place_of,
    quietly,
    template_for,
    tokenizer_at,
    tokenizer_of,
)

# A run shows progress of its own; a bar per loaded model would run through it.
disable_progress_bar()

PAYLOAD = "policy"


def load_policy(spec: PolicySpec, io: StageIO) -> LocalPolicy:
    """Return the policy on ``io.device``, for inference: evaluation mode, no gradients, no dropout.

    It computes in the type that ``computed_in`` says, weights and activations alike. A tuned policy whose stage wrote a
    LoRA adapter is its base with the adapter (float32) beside the weights. Raises StageError when a model cannot be
    loaded or the models of a proxy do not share a vocabulary, DataError when a local folder's content is not what was
    declared.
    """
    if not isinstance(root(spec), Proxy):
        return load_model(spec, io)
    terms = terms_of(spec)
    return ProxyPolicy(spec, terms, load_models([term.spec for term in terms], io))


def load_model(spec: PolicySpec, io: StageIO) -> HFPolicy:
    """Return a policy that is one model, for inference; see ``load_policy``. Raises StageError for a proxy."""
    policy = _loaded(spec, io)
    policy.model.eval().requires_grad_(False)
    if (packed := quantised_of(policy.model)) is not None:
        io.diagnose(packed.told())
    return policy


def load_models(specs: Sequence[PolicySpec], io: StageIO) -> list[HFPolicy]:
    """Return policies that are one model each, in order; weights that are the same are in memory once."""
    seen: list[tuple[PolicySpec, HFPolicy]] = []
    for spec in specs:
        twin = next((one for known, one in seen if weights_of(known) == weights_of(spec)), None)
        one = load_model(spec, io) if twin is None else HFPolicy(spec, twin.model, twin.tokenizer, twin.template)
        seen.append((spec, one))
    return [one for _, one in seen]


def load_trainable(spec: PolicySpec, io: StageIO, *, lora: Lora | None, seed: int) -> HFPolicy:
    """Return the policy on ``io.device``, for training: every weight, or with ``lora`` a new adapter's weights only.

    It computes in the type that ``computed_in`` says; what is trained is float32. In bfloat16 whole weights have the
    float32 ones that are stored behind them (``bench.models.masters``). Dropout is 0 everywhere except in the new
    adapter, where it is ``lora.dropout``: the losses compare log-probabilities with those of a reference, which dropout
    would blur (METHODS 0.4 of the PPO reimplementations). The adapter's random half is drawn from ``seed`` and the
    global generators are left as they were; its other half is 0, so the policy starts equal to ``spec``. Adapters that
    ``spec`` has already stay beside the weights, frozen; where all weights are trained they are merged into them, in
    float32. Raises StageError where that would need another model.
    """
    policy = _loaded(spec, io)
    if lora is not None:
        adapted = with_new_adapter(policy.model, lora, seed)
        adapted.train()
        return HFPolicy(spec, adapted, policy.tokenizer, policy.template)
    if quantised_of(policy.model) is not None:
        raise StageError("weights that are packed (load_in) cannot be trained. Train an adapter: set lora.")
    if isinstance(policy.model, PeftModel) or any(part.dtype == torch.bfloat16 for part in policy.model.parameters()):
        policy = _with_masters(policy, io)
    policy.model.train().requires_grad_(True)
    return policy


def load_whole(spec: PolicySpec, io: StageIO) -> HFPolicy:
    """Return the policy in float32, packed weights made whole, and adapters merged (``bench.models.adapters``)."""
    model, tokenizer = _resolve(spec, io, "float32")
    unpack_loaded(model)
    whole = merged(model).to(torch.device(io.device)).eval()
    return HFPolicy(spec, whole, tokenizer, template_for(spec, tokenizer, whole.config))


def save_weights(policy: HFPolicy, folder: Path, keep: Kept = "float32") -> None:
    """Write weights (safetensors), configuration and tokenizer, from which ``Built`` and ``Tuned`` load again.

    The weights are the float32 ones that were trained, rounded where ``keep`` says so.
    """
    if isinstance(policy.model, PeftModel):
        raise StageError("the policy carries an adapter over frozen weights. Save the adapter alone.")
    with stored_as(policy.model, getattr(torch, keep)):
        policy.model.save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)
    # These say where the tokenizer came from, not what it is.
    _rewrite(folder / "tokenizer_config.json", {}, drop=("is_local", "local_files_only", "name_or_path"))


def save_adapter(policy: HFPolicy, folder: Path) -> None:
    """Write the LoRA adapter in training (safetensors) and its configuration, without any path of this machine in it.

    Those that were on the policy before are not written again.
    """
    if not is_adapted(policy.model):
        raise StageError("the policy carries no adapter in training. Save its weights.")
    # peft would write the whole matrix that an adapter on the embeddings or the head changes, too.
    policy.model.save_pretrained(folder, selected_adapters=[NEW], save_embedding_layers=False)
    path = folder / ADAPTER_CONFIG
    # peft writes a set as a list in the order of hashes, which differs between processes.
    targets = sorted(json.loads(path.read_text(encoding="utf-8"))["target_modules"])
    _rewrite(path, {"base_model_name_or_path": None, "target_modules": targets})
    (folder / "README.md").unlink(missing_ok=True)


def _rewrite(path: Path, changes: Mapping[str, object], drop: Sequence[str] = ()) -> None:
    """Change entries of a JSON file and write it with sorted keys."""
    content = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    kept = {name: value for name, value in content.items() if name not in drop}
    path.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _loaded(spec: PolicySpec, io: StageIO) -> HFPolicy:
    if isinstance(root(spec), Outputs):
        raise StageError("outputs made elsewhere are texts and no model: they have no weights and no likelihood.")
    if isinstance(root(spec), BestOf):
        raise StageError(
            "the best of several responses is a choice, not a model: it has no weights to train and no likelihood. "
            "Name the policy that writes the responses instead."
        )
    if isinstance(root(spec), Proxy):
        raise StageError(
            "a proxied policy is several models that write together; it has no hidden states or weights of its own, so "
            "it cannot be trained or edited. Use one of its parts here."
        )
    model, tokenizer = _resolve(spec, io, computed_in(spec))
    model.to(torch.device(io.device))
    check_halves(model)
    return HFPolicy(spec, model, tokenizer, template_for(spec, tokenizer, model.config))


def _resolve(spec: PolicySpec, io: StageIO, dtype: str) -> tuple[PreTrainedModel | PeftModel, PreTrainedTokenizerBase]:
    """Return model (on the CPU) and tokenizer of a spec, its adapters on it."""
    match spec:
        case Pretrained():
            return _made_elsewhere(spec, dtype)
        case Built():
            return _from_pretrained(str(io.read(spec.by) / PAYLOAD), None, dtype)
        case Instructed():
            return _resolve(spec.base, io, dtype)
        case Tuned():
            folder = io.read(spec.by) / PAYLOAD
            if not (folder / ADAPTER_CONFIG).is_file():
                return _from_pretrained(str(folder), None, dtype)
            model, tokenizer = _resolve(spec.base, io, dtype)
            return with_adapter(model, folder), tokenizer
        case Proxy() | BestOf() | Outputs():
            raise StageError("a policy of several models or responses is not one model.")


def _made_elsewhere(spec: Pretrained, dtype: str) -> tuple[PreTrainedModel | PeftModel, PreTrainedTokenizerBase]:
    """Return a pretrained model with its adapters: plain ones beside the weights, others merged in float32 before.

    Weights are packed, where that is asked for, when all that is merged into them is.
    """
    folders = [folder_of(adapter) for adapter in spec.adapters]
    beside = [read_adapter(folder, str(folder)).beside for folder in folders]
    last = max((place for place, is_beside in enumerate(beside, 1) if not is_beside), default=0)
    found: PreTrainedModel | PeftModel
    whole = last > 0 or spec.load_in is not None
    found, tokenizer = _from_pretrained(place_of(spec), spec.revision, "float32" if whole else dtype)
    if spec.load_in is not None and last == 0:
        pack_loaded(found, tokenizer, spec.load_in, dtype)
    for place, folder in enumerate(folders, 1):
        found = with_adapter(found, folder) if beside[place - 1] else with_merged(found, folder)
        if place == last:
            check_finite(found, str(folder))
            if spec.load_in is not None:
                pack_loaded(found, tokenizer, spec.load_in, dtype)
            else:
                _round_weights(found, getattr(torch, dtype))
    return found, tokenizer if not folders else tokenizer_of(spec)


def _round_weights(model: PreTrainedModel | PeftModel, dtype: torch.dtype) -> None:
    """Round weights to a type as loading does: not buffers (rotary frequencies), nor what a model keeps in float32."""
    kept = tuple(getattr(model, "_keep_in_fp32_modules", None) or ())
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and not any(part in name.split(".") for part in kept):
            weight.data = weight.data.to(dtype)


def _with_masters(policy: HFPolicy, io: StageIO) -> HFPolicy:
    """Return a policy with the float32 weights that are stored, adapters merged, behind those it computes with."""
    adapted = isinstance(policy.model, PeftModel)
    model = policy.model.unload() if adapted else policy.model
    masters = dict(load_whole(policy.spec, io).model.named_parameters())
    if masters.keys() != dict(model.named_parameters()).keys():
        raise StageError(
            "the policy has an adapter on its embeddings or head, which share one matrix: all its weights are those of "
            "another model, with two. Train an adapter on top of it, or leave lm_head and embed_tokens out of targets."
        )
    for name, parameter in model.named_parameters():
        set_master(parameter, masters[name])
    return HFPolicy(policy.spec, model, policy.tokenizer, policy.template)


def _from_pretrained(where: str, revision: str | None, dtype: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    config, tokenizer = config_at(where, revision), tokenizer_at(where, revision)
    try:
        with quietly():
            model = _weights(where, revision, dtype, config)
    except Exception as error:  # whatever stands in the files of others
        if limit_of(error) is not None:
            raise
        raise StageError(
            f"cannot load the model {where}: {in_one_line(error)}\nA model needs config.json, a tokenizer and "
            "safetensors weights that transformers knows without code of its own; a repository must be reachable or "
            "cached already."
        ) from error
    check_finite(model, where)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.Embedding):
            # It would keep the padding token's embedding from learning, also where that token is read: as an end.
            module.padding_idx = None
    return model, tokenizer


def check_finite(model: PreTrainedModel, where: str) -> None:
    """Raise StageError for a model with a weight that is no finite number."""
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and weight.numel():
            # The extremes of what holds a NaN are NaN.
            least, most = torch.aminmax(weight.detach())
            if not (torch.isfinite(least) and torch.isfinite(most)):
                raise StageError(
                    f"the model {where} holds weights that are no finite numbers ({name}: NaN or infinite). Nothing "
                    "can be computed with it: get it again, or take an earlier checkpoint."
                )


def _weights(where: str, revision: str | None, dtype: str, config: PreTrainedConfig) -> PreTrainedModel:
    # Attention reads its dropout from the configuration, not from a module, and experts their noise (Phi-3.5 MoE).
    for name, value in config.to_dict().items():
        if ("drop" in name or name == "input_jitter_noise") and isinstance(value, float):
            setattr(config, name, 0.0)
    if config.model_type == "rwkv":
        config.rescale_every = 0  # in evaluation mode it would halve weights where they stand, and save them so

    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM

    files = files_at(where, revision)

    def load(attention: str) -> PreTrainedModel:
        model, report = kind.from_pretrained(
            **files,
            config=config,
            dtype=getattr(torch, dtype),
            attn_implementation=attention,
            use_safetensors=None if "gguf_file" in files else True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        if report["missing_keys"]:
            # transformers would go on with random numbers in their place.
            raise ValueError(f"the weights lack {some_of(sorted(report['missing_keys']))}")
        if "gguf_file" in files:  # its weights are whole numbers again, and nothing of how they were packed is kept
            model.hf_quantizer = None
            vars(model.config).pop("quantization_config", None)
        return model

    try:
        return load("sdpa")
    except ValueError as error:
        if "scaled_dot_product_attention" not in str(error):
            raise
        return load("eager")
