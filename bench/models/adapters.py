"""LoRA adapters on a model: those that it has already, frozen, and beside them the one that is trained.

An adapter's weights are float32 and stay beside the frozen weights that it changes: W x + scale * B A x, computed in
float32 and rounded to the type of W x once. Merged into W in bfloat16 most of its change would be rounded away.
``merged`` is for an export and for training all weights from there on; it is done in float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import PreTrainedModel

from bench.core.errors import StageError
from bench.core.method import Lora
from bench.models.packing.adapted import AdaptedLinear, adapt

NEW = "default"  # the adapter in training; peft saves the one of this name into the folder itself
ADAPTER_CONFIG = "adapter_config.json"


def with_adapter(model: PreTrainedModel | PeftModel, folder: Path) -> PeftModel:
    """Return the model with the adapter in a folder on it, beside those that it has: frozen, without dropout."""
    if isinstance(model, PeftModel):
        name = f"kept_{len(model.peft_config)}"
        model.load_adapter(str(folder), adapter_name=name)
    else:
        name = "kept_0"
        model = PeftModel.from_pretrained(model, str(folder), adapter_name=name)
    for layer in _layers(model):
        if name in layer.lora_dropout:
            layer.lora_dropout[name] = nn.Identity()
    _set_up(model)
    return model


def with_merged(model: PreTrainedModel | PeftModel, folder: Path) -> PreTrainedModel:
    """Return the model, which must be float32, with the adapter in a folder in its weights, as PEFT merges it.

    For adapters that are more than a plain LoRA (``bench.core.formats.adapter_files``); those that the model has are
    merged first.
    """
    causal = merged(model)
    ends = (causal.get_input_embeddings().weight, causal.get_output_embeddings().weight)
    shared = ends[0] is ends[1]
    adapted = PeftModel.from_pretrained(causal, str(folder))
    _part(causal)
    whole: PreTrainedModel = adapted.merge_and_unload()
    ends = (whole.get_input_embeddings().weight, whole.get_output_embeddings().weight)
    if shared and ends[0] is not ends[1]:
        _untie(whole)
    return whole


def with_new_adapter(model: PreTrainedModel | PeftModel, lora: Lora, seed: int) -> PeftModel:
    """Return the model with an untrained adapter that changes nothing yet; it alone requires a gradient.

    Its random half is drawn from ``seed``. Raises StageError where the model has no such module.
    """
    causal = model.get_base_model() if isinstance(model, PeftModel) else model
    config = LoraConfig(
        task_type="SEQ_2_SEQ_LM" if causal.config.is_encoder_decoder else "CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets) or "all-linear",
        exclude_modules=[] if lora.targets else _not_linear(causal),
        bias="none",
    )
    devices = [causal.device] if causal.device.type == "cuda" else []
    causal.requires_grad_(False)
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)  # noqa: TID251 - peft takes no generator; the fork gives the global state back
        try:
            if isinstance(model, PeftModel):
                model.add_adapter(NEW, config)
            else:
                model = get_peft_model(model, config, adapter_name=NEW)
        except ValueError as error:
            raise StageError(f"cannot put the LoRA adapter on {type(causal).__name__}: {error}") from error
    _set_up(model)
    return model


def is_adapted(model: nn.Module) -> bool:
    """Return whether the model has an adapter in training."""
    return any(NEW in _names(layer) for layer in _layers(model))


@contextmanager
def without_new(model: nn.Module) -> Iterator[None]:
    """Leave the adapter in training out, as long as this is open: the policy that training started from."""
    changed = [(layer, list(layer._active_adapter)) for layer in _layers(model)]
    for layer, active in changed:
        layer._active_adapter = [name for name in active if name != NEW]
    try:
        yield
    finally:
        for layer, active in changed:
            layer._active_adapter = active


def merged(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """Return the model with its adapters in its weights, which must be float32; it is changed.

    Embeddings and a head that share one matrix are parted where an adapter changes one of them alone.
    """
    if not isinstance(model, PeftModel):
        return model
    causal: PreTrainedModel = model.get_base_model()
    if any(part.dtype != torch.float32 for part in causal.parameters() if part.is_floating_point()):
        raise StageError("adapters are merged in float32 only. Load the policy in float32 first.")
    _part(causal)
    whole: PreTrainedModel = model.merge_and_unload(adapter_names=model.base_model.active_adapter)
    return whole


def _part(causal: PreTrainedModel) -> None:
    """Give the head a matrix of its own where it shares one with the embeddings and either has an adapter."""
    ends = [causal.get_input_embeddings(), causal.get_output_embeddings()]
    if ends[0].weight is ends[1].weight and any(isinstance(end, LoraLayer) for end in ends):
        head = ends[1].get_base_layer() if isinstance(ends[1], LoraLayer) else ends[1]
        head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=False)
        _untie(causal)


def _untie(causal: PreTrainedModel) -> None:
    causal.config.tie_word_embeddings = False
    causal.config.get_text_config().tie_word_embeddings = False


def _set_up(model: PeftModel) -> None:
    """Let all adapters act, and the new one alone learn."""
    names = list(model.peft_config)
    for layer in _layers(model):
        layer._active_adapter = names
        for part in _parts(layer):
            for name, weights in part.items():
                weights.requires_grad_(name == NEW)
        if type(layer) in (LoraLinear, AdaptedLinear):
            adapt(layer)
    model.base_model.active_adapter = names


def _not_linear(causal: PreTrainedModel) -> list[str]:
    """Return the names of modules that "all linear layers" must leave out.

    A router is linear by its class and returns more than a product. A Mamba block reads the weight of its ``out_proj``
    past the module, so that peft refuses an adapter there.
    """
    past = causal.config.model_type in ("mamba", "mamba2", "falcon_mamba", "falcon_h1", "nemotron_h")
    return [
        name
        for name, part in causal.named_modules()
        if isinstance(part, nn.Linear) and ("Router" in type(part).__name__ or (past and name.endswith("out_proj")))
    ]


def _layers(model: nn.Module) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, LoraLayer)]


def _parts(layer: Any) -> Sequence[Any]:
    return [getattr(layer, name) for name in layer.adapter_layer_names]


def _names(layer: Any) -> set[str]:
    return {name for part in _parts(layer) for name in part}
