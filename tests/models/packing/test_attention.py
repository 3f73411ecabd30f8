"""Groups laid end to end in one row give the states of padded rows under a block mask."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model

from bench.models.packing.attention import packing_of
from bench.models.packing.decoder import decoder_of
from bench.models.packing.layout import lay_out_groups, lay_out_packed, predicting_states
from bench.models.packing.sharing import packs
from tests.models.packing.test_sharing import GROUPS, odd_models
from tests.models.tiny import FAMILIES, tiny_model


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_equals_padded(family: str) -> None:
    decoder = decoder_of(tiny_model(family))
    assert packs(decoder)
    packed = predicting_states(decoder, lay_out_packed(GROUPS))
    padded = predicting_states(decoder, lay_out_groups(GROUPS, pad_id=0))
    torch.testing.assert_close(packed, padded, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["window", "mixed", "recurrent", "no_positions"])
def test_a_model_that_cannot_share_is_not_packed(name: str) -> None:
    assert not packs(decoder_of(odd_models()[name].eval()))


def test_a_model_with_eager_attention_is_not_packed() -> None:
    model = tiny_model("llama")
    model.set_attn_implementation("eager")
    assert not packs(decoder_of(model))


def test_a_group_of_one_response_needs_no_mask() -> None:
    packing = packing_of([[3, 2], [2, 1, 1]])
    assert packing.lengths == [5, 4]
    assert packing.masks[0] is None
    assert packing.masks[1] is not None
    assert (packing.masks[1] == 0).int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 1]]


def test_the_trial_leaves_an_adapters_dropout_on() -> None:
    settings = LoraConfig(r=2, target_modules="all-linear", lora_dropout=0.5)
    model = get_peft_model(tiny_model("llama"), settings).eval()
    for name, module in model.named_modules():
        if "lora_dropout" in name:
            module.train()
    packs(decoder_of(model))
    modes = {module.training for name, module in model.named_modules() if "lora_dropout" in name}
    assert modes == {True}
    assert not model.training
