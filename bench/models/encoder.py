"""Encoders of transformers: one vector per text, the mean over its tokens.

Mean pooling is that of Sentence-BERT (Reimers and Gurevych 2019, arXiv 1908.10084).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from bench.core.errors import StageError
from bench.core.files import digest_of_folder
from bench.core.meter import READ_FLOPS
from bench.core.stage import StageIO
from bench.models.spelling import control_tokens, spelt_apart

BATCH = 32


def embeddings(path: str, digest: str, texts: Sequence[str], io: StageIO) -> Tensor:
    """Return one vector of length 1 per text (texts, width), float32 on the CPU.

    The mean of the last hidden states over the tokens of a text, cut where the model reads no further. Texts are read
    from the longest to the shortest, so that few tokens are padding; a text's vector does not depend on its neighbours
    but by rounding. Raises StageError for a folder that has changed.
    """
    folder = checked_folder(path, digest)
    name = f"encoder {digest}"
    if name not in io.kept:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModel.from_pretrained(folder, dtype=torch.float32).to(io.device).eval()
        io.kept[name] = (tokenizer, model)
    tokenizer, model = io.kept[name]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    order = sorted(range(len(texts)), key=lambda place: (-len(texts[place]), place))
    found: dict[int, Tensor] = {}
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        inputs: Any = tokenizer(
            mere_text(tokenizer, [texts[place] for place in places]),
            truncation=True,
            max_length=longest_input(model, tokenizer),
            padding=True,
            return_tensors="pt",
        ).to(io.device)
        with torch.inference_mode():
            states = model(**inputs).last_hidden_state.float()
        mask = inputs["attention_mask"].unsqueeze(-1).float()
        means = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        found |= dict(zip(places, torch.nn.functional.normalize(means, dim=-1).cpu(), strict=True))
        tokens = int(inputs["attention_mask"].sum())
        io.meter.read_tokens += tokens
        io.meter.flops += READ_FLOPS * parameters * tokens
        io.progress(len(found), len(texts), "text")
    return torch.stack([found[place] for place in range(len(texts))])


def mere_text(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[str]:
    """Return texts as an encoder reads them: what spells a control token of its own becomes none."""
    control = control_tokens(tokenizer)
    return [spelt_apart(text, control) for text in texts]


def checked_folder(path: str, digest: str) -> Path:
    """Return a model's folder; raises StageError when its content is not that of the digest."""
    folder = Path(path)
    if not folder.is_dir() or digest_of_folder(folder) != digest:
        raise StageError(f"{path}: the folder is gone or has changed since the comparison was planned. Plan it again.")
    return folder


def longest_input(model: Any, tokenizer: Any) -> int | None:
    """Return the most tokens that both the model and its tokenizer read; None where neither says."""
    limits = [getattr(model.config, "max_position_embeddings", None), tokenizer.model_max_length]
    known = [int(limit) for limit in limits if limit is not None and limit < 1_000_000]
    return min(known) if known else None
