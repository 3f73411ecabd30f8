"""The families of causal and encoder-decoder language models that transformers offers and a user may bring.

Each is a tiny configuration. Windows, chunks and lengths of pretraining are shorter than the texts of the checks, so
that what happens at their ends is met. A state's decay, a router or a normaliser would hide a wrong cache behind nearly
equal logits, so weights are drawn anew and large.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedConfig, PreTrainedModel

from tests.methods.tiny import LETTERS

VOCABULARY = 4 + len(LETTERS)
Kind = Literal["attention", "window", "chunks", "distance", "experts", "length", "state", "hybrid", "encoder"]

_IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "vocab_size": VOCABULARY}
_PLAIN = {
    **_IDS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
_GROUPED = {**_PLAIN, "num_key_value_heads": 2}
_HEADS = {**_GROUPED, "head_dim": 8}
_DEEPER = {**_HEADS, "num_hidden_layers": 4, "intermediate_size": 32}
_GPT = {**_IDS, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
_MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_d_state": 8, "mamba_chunk_size": 8}
_LINEAR = {
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
_LATENT = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
    "qk_nope_head_dim": 8,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
}
_MIXED = ["linear_attention", "full_attention", "linear_attention", "full_attention"]
_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
_LONG = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0, 1.1, 1.2, 1.3],
    "long_factor": [2.0, 3.0, 4.0, 5.0],
    "original_max_position_embeddings": 16,
}
_T5 = {**_IDS, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
_BART = {
    **_IDS,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 64,
    "decoder_start_token_id": 2,
}
_YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 32,
}
_DYNAMIC = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}


@dataclass(frozen=True)
class Family:
    """One family: the configuration's class in transformers, its fields, and what its layers remember of a text."""

    name: str
    kind: Kind
    config: str
    fields: Mapping[str, Any]

    def build(self) -> PreTrainedModel:
        """Return a random model in evaluation mode; the global generator is left as it was."""
        made: PreTrainedConfig = getattr(transformers, self.config)(**self.fields)
        with torch.random.fork_rng():
            torch.manual_seed(0)  # noqa: TID251 - transformers takes no generator
            model = self.maker(made).from_config(made, attn_implementation=self.attention(made))
            if self.fields.get("tie_word_embeddings") is False and self.kind == "encoder":  # as in Flan-T5's files
                model.lm_head.weight = torch.nn.Parameter(torch.randn(model.shared.weight.shape))
            for parameter in model.parameters():
                if parameter.ndim > 1 and float(parameter.detach().std()) < 0.2:
                    torch.nn.init.normal_(parameter, std=0.2)
        return model.eval()

    @staticmethod
    def maker(config: PreTrainedConfig) -> Any:
        """Return the class of transformers that makes models of a configuration."""
        return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM

    @staticmethod
    def attention(config: PreTrainedConfig) -> str:
        """Return the attention that the program would load it with."""
        try:
            Family.maker(config).from_config(config, attn_implementation="sdpa")
        except ValueError:
            return "eager"
        return "sdpa"


def _of(name: str, kind: Kind, config: str, **fields: Any) -> Family:
    return Family(name, kind, config, fields)


FAMILIES: tuple[Family, ...] = (
    _of("Llama 2", "attention", "LlamaConfig", **_PLAIN),
    _of("Llama 3", "attention", "LlamaConfig", **_GROUPED, rope_parameters=_LLAMA3, tie_word_embeddings=True),
    _of("Llama, yarn", "attention", "LlamaConfig", **_GROUPED, rope_parameters=_YARN),
    _of(
        "Llama 4",
        "chunks",
        "Llama4TextConfig",
        **_HEADS,
        num_local_experts=2,
        intermediate_size_mlp=48,
        attention_chunk_size=6,
    ),
    _of("Qwen2", "attention", "Qwen2Config", **_GROUPED),
    _of("Qwen2-MoE", "experts", "Qwen2MoeConfig", **_GROUPED, **_EXPERTS, shared_expert_intermediate_size=16),
    _of("Qwen3", "attention", "Qwen3Config", **_HEADS),
    _of("Qwen3-MoE", "experts", "Qwen3MoeConfig", **_HEADS, **_EXPERTS),
    _of("Mistral", "window", "MistralConfig", **_GROUPED, sliding_window=6),
    _of("Ministral 3", "attention", "Ministral3Config", **_HEADS),
    _of("Mixtral", "experts", "MixtralConfig", **_GROUPED, num_local_experts=4, num_experts_per_tok=2),
    _of("Gemma", "attention", "GemmaConfig", **_HEADS),
    _of("Gemma 2", "window", "Gemma2Config", **_HEADS, sliding_window=6, query_pre_attn_scalar=8),
    _of("Gemma 3", "window", "Gemma3TextConfig", **_DEEPER, sliding_window=6, query_pre_attn_scalar=8),
    _of(
        "Gemma 4",
        "window",
        "Gemma4TextConfig",
        **_DEEPER,
        sliding_window=6,
        global_head_dim=8,
        vocab_size_per_layer_input=VOCABULARY,
        hidden_size_per_layer_input=8,
        num_kv_shared_layers=0,
    ),
    _of("Phi", "attention", "PhiConfig", **_GROUPED),
    _of("Phi-3", "attention", "Phi3Config", **_GROUPED),
    _of(
        "Phi-3, longrope",
        "length",
        "Phi3Config",
        **_GROUPED,
        original_max_position_embeddings=16,
        rope_parameters=_LONG,
    ),
    _of(
        "Llama, dynamic RoPE",
        "length",
        "LlamaConfig",
        **{**_GROUPED, "max_position_embeddings": 24},
        rope_parameters=_DYNAMIC,
    ),
    _of("Phi-3.5 MoE", "experts", "PhimoeConfig", **_GROUPED, num_local_experts=4),
    _of("OLMo", "attention", "OlmoConfig", **_GROUPED),
    _of("OLMo 2", "attention", "Olmo2Config", **_GROUPED),
    _of("OLMo 3", "window", "Olmo3Config", **{**_DEEPER, "head_dim": 8}, sliding_window=6),
    _of("OLMoE", "experts", "OlmoeConfig", **_GROUPED, num_experts=4, num_experts_per_tok=2),
    _of("GPT-2", "attention", "GPT2Config", **_GPT),
    _of("GPT-J", "attention", "GPTJConfig", **_GPT, rotary_dim=8),
    _of("CodeGen", "attention", "CodeGenConfig", **_GPT, rotary_dim=8),
    _of(
        "GPT-Neo",
        "window",
        "GPTNeoConfig",
        **_IDS,
        hidden_size=32,
        num_layers=2,
        attention_types=[[["global", "local"], 1]],
        num_heads=4,
        max_position_embeddings=128,
        window_size=6,
    ),
    _of("GPT-NeoX", "attention", "GPTNeoXConfig", **_PLAIN),
    _of("GPT-BigCode", "attention", "GPTBigCodeConfig", **_GPT),
    _of("GPT-OSS", "window", "GptOssConfig", **_HEADS, num_local_experts=4, sliding_window=6, rope_parameters=_YARN),
    _of(
        "OPT",
        "attention",
        "OPTConfig",
        **{**_IDS, "pad_token_id": 1},
        hidden_size=32,
        ffn_dim=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        word_embed_proj_dim=32,
    ),
    _of("Bloom", "distance", "BloomConfig", **_IDS, hidden_size=32, n_layer=2, n_head=4),
    _of("MPT", "distance", "MptConfig", **_IDS, d_model=32, n_layers=2, n_heads=4, max_seq_len=128),
    _of("Falcon", "attention", "FalconConfig", **_IDS, hidden_size=32, num_hidden_layers=2, num_attention_heads=4),
    _of(
        "Falcon, alibi",
        "distance",
        "FalconConfig",
        **_IDS,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        alibi=True,
    ),
    _of("StableLM", "attention", "StableLmConfig", **_GROUPED),
    _of("StarCoder2", "window", "Starcoder2Config", **_GROUPED, sliding_window=6),
    _of("Persimmon", "attention", "PersimmonConfig", **_PLAIN),
    _of("Cohere", "attention", "CohereConfig", **_GROUPED),
    _of("Cohere 2", "window", "Cohere2Config", **_DEEPER, sliding_window=6),
    _of("DeepSeek-V2", "experts", "DeepseekV2Config", **_PLAIN, **_LATENT),
    _of("DeepSeek-V3", "experts", "DeepseekV3Config", **_PLAIN, **_LATENT, num_key_value_heads=4),
    _of("Granite", "attention", "GraniteConfig", **_GROUPED, logits_scaling=4.0),
    _of("GLM-4", "attention", "Glm4Config", **_HEADS),
    _of(
        "GLM-4 MoE",
        "experts",
        "Glm4MoeConfig",
        **_HEADS,
        n_routed_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=16,
        n_group=1,
        topk_group=1,
    ),
    _of("SmolLM3", "attention", "SmolLM3Config", **_GROUPED),
    _of("EXAONE 4", "window", "Exaone4Config", **_DEEPER, sliding_window=6, sliding_window_pattern=4),
    _of("ERNIE 4.5", "attention", "Ernie4_5Config", **_HEADS),
    _of("Seed-OSS", "attention", "SeedOssConfig", **_HEADS),
    _of("Hunyuan", "attention", "HunYuanDenseV1Config", **_HEADS),
    _of("Nemotron", "attention", "NemotronConfig", **_GROUPED),
    _of("BitNet", "attention", "BitNetConfig", **_GROUPED),
    _of("XGLM", "attention", "XGLMConfig", **_IDS, d_model=32, ffn_dim=48, num_layers=2, attention_heads=4),
    _of("Mamba", "state", "MambaConfig", **_IDS, hidden_size=32, num_hidden_layers=2, state_size=8),
    _of(
        "Mamba-2",
        "state",
        "Mamba2Config",
        **_IDS,
        hidden_size=32,
        num_hidden_layers=2,
        state_size=8,
        num_heads=8,
        head_dim=8,
        n_groups=1,
        chunk_size=8,
    ),
    _of("FalconMamba", "state", "FalconMambaConfig", **_IDS, hidden_size=32, num_hidden_layers=2, state_size=8),
    _of(
        "RWKV",
        "state",
        "RwkvConfig",
        **_IDS,
        hidden_size=32,
        attention_hidden_size=32,
        num_hidden_layers=2,
        rescale_every=1,
    ),
    _of(
        "xLSTM",
        "state",
        "xLSTMConfig",
        **_IDS,
        hidden_size=128,
        num_blocks=1,
        num_heads=2,
        chunkwise_kernel="chunkwise--native_autograd",
        sequence_kernel="native_sequence__native",
        step_kernel="native",
        chunk_size=8,
    ),
    _of(
        "Qwen3-Next", "hybrid", "Qwen3NextConfig", **_DEEPER, **_LINEAR, **_EXPERTS, shared_expert_intermediate_size=16
    ),
    _of("Qwen3.5", "hybrid", "Qwen3_5TextConfig", **_DEEPER, **_LINEAR, layer_types=_MIXED),
    _of(
        "Granite 4 hybrid",
        "hybrid",
        "GraniteMoeHybridConfig",
        **{**_GROUPED, "num_hidden_layers": 4},
        **_MAMBA,
        layer_types=["mamba", "attention", "mamba", "attention"],
        num_local_experts=2,
        num_experts_per_tok=1,
        shared_intermediate_size=16,
    ),
    _of(
        "Falcon-H1",
        "hybrid",
        "FalconH1Config",
        **_GROUPED,
        **{**_MAMBA, "mamba_n_heads": 4},
        mamba_d_ssm=32,
        lm_head_multiplier=0.5,
    ),
    _of("Jamba", "hybrid", "JambaConfig", **_GROUPED, attn_layer_period=2, attn_layer_offset=1, num_experts=2),
    _of("Bamba", "hybrid", "BambaConfig", **_GROUPED, **_MAMBA, attn_layer_indices=[1]),
    _of(
        "Zamba2",
        "hybrid",
        "Zamba2Config",
        **{**_GROUPED, "num_hidden_layers": 4},
        mamba_d_state=8,
        mamba_headdim=8,
        n_mamba_heads=8,
        mamba_ngroups=1,
        chunk_size=8,
        num_mem_blocks=1,
        hybrid_layer_ids=[1, 3],
        layers_block_type=["mamba", "hybrid", "mamba", "hybrid"],
    ),
    _of(
        "Nemotron-H",
        "hybrid",
        "NemotronHConfig",
        **{**_HEADS, "num_hidden_layers": 4},
        layers_block_type=["mamba", "attention", "mlp", "mamba"],
        mamba_num_heads=8,
        mamba_head_dim=8,
        n_groups=1,
        ssm_state_size=8,
        chunk_size=8,
    ),
    _of("LFM2", "hybrid", "Lfm2Config", **_GROUPED, layer_types=["conv", "full_attention"]),
    _of("MiniMax", "hybrid", "MiniMaxConfig", **_HEADS, num_local_experts=2, block_size=8),
    _of(
        "RecurrentGemma",
        "hybrid",
        "RecurrentGemmaConfig",
        **_IDS,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        lru_width=32,
        attention_window_size=6,
    ),
    _of("T5", "encoder", "T5Config", **_T5),
    _of("Flan-T5", "encoder", "T5Config", **_T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    _of("mT5", "encoder", "MT5Config", **_T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    _of("UMT5", "encoder", "UMT5Config", **_T5, feed_forward_proj="gated-gelu"),
    _of("Switch", "encoder", "SwitchTransformersConfig", **_T5, num_sparse_encoder_layers=1, num_experts=2),
    _of("BART", "encoder", "BartConfig", **_BART),
    _of("Pegasus", "encoder", "PegasusConfig", **_BART),
)

BY_NAME: Mapping[str, Family] = {family.name: family for family in FAMILIES}
Build = Callable[[], PreTrainedModel]
