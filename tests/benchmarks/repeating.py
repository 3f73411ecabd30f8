"""How often rounding, or another model, changes a drawn token: by Gumbel noise, and by inverting the sums.

    python -m tests.benchmarks.repeating MODEL [--other MODEL] [--dtype float32] [--rows 8] [--tokens 32]
    python -m tests.benchmarks.repeating random

MODEL is a folder of transformers, or ``random``: random weights with a vocabulary of 49,152 (of a width of 64), whose
logits are scaled so that they are as spread as a language model's. Without ``--other``, the model is compared with
itself: rows in one batch, and each row alone. Both read what the model alone wrote, so every token is one comparison:

flips    the share of tokens that differ
bound    the mean total variation of the two distributions: no way of drawing can differ less often
equal    completions without any such token
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.core.policy import Decoding
from bench.models.decoding.noise import keys
from bench.models.decoding.sampling import choose
from bench.models.decoding.session import open_session
from tests.benchmarks.choosing import inverted
from tests.benchmarks.workloads import Size

RANDOM = Size("random, vocabulary 49k", 64, 128, 12, 2, vocabulary=49_152)
# Of logits between tokens, as of small language models; random weights give .16.
SPREAD = 3.0
DECODING = Decoding(temperature=1.0)


@dataclass(frozen=True)
class Repeated:
    """The shares of tokens that differ, and of completions that do not, by way of drawing."""

    bound: float
    gumbel: float
    inverted: float
    gumbel_equal: float
    inverted_equal: float

    def lines(self) -> list[str]:
        return [
            f"gumbel    flips {self.gumbel:.4f}, the same token {1 - self.gumbel:.1%}, equal {self.gumbel_equal:.0%}",
            f"inverted  flips {self.inverted:.4f}, the same token {1 - self.inverted:.1%}, "
            f"equal {self.inverted_equal:.0%}",
            f"bound     flips {self.bound:.4f}, the same token {1 - self.bound:.1%}",
        ]


def opened(name: str, dtype: torch.dtype, seed: int = 0) -> nn.Module:
    """Return a model in evaluation mode: that of a folder, or one of random weights."""
    if name == "random":
        model = RANDOM.model(seed).eval()
        with torch.no_grad():
            ids = torch.arange(3, 67)[None]
            model.model.norm.weight *= SPREAD / model(input_ids=ids).logits.std()
        return model.to(dtype)
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(Path(name), dtype=dtype, local_files_only=True).eval()


@torch.inference_mode()
def written(model: nn.Module, prompts: list[list[int]], tokens: int) -> Tensor:
    """Return what the model writes to each prompt by itself, ends not looked at. Shape: (rows, tokens)."""
    return torch.stack([_alone(model, prompt, row, tokens) for row, prompt in enumerate(prompts)])


def _alone(model: nn.Module, prompt: list[int], row: int, tokens: int) -> Tensor:
    session, noise = open_session(model, [prompt], 0), torch.from_numpy(keys([row], tokens))
    found = []
    for position in range(tokens):
        token, _ = choose(session.logits(), DECODING, noise[:, position])
        found.append(token)
        session.push(token)
    return torch.cat(found)


@torch.inference_mode()
def repeated(one: nn.Module, other: nn.Module, prompts: list[list[int]], tokens: int) -> Repeated:
    """Compare the tokens that ``one`` draws, row by row, with those of ``other``, all rows in one batch."""
    texts = written(one, prompts, tokens)
    alone = [open_session(one, [prompt], 0) for prompt in prompts]
    batch = open_session(other, prompts, 0)
    noise = torch.from_numpy(keys(range(len(prompts)), tokens))
    uniform = torch.rand(len(prompts), tokens, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    differ: tuple[list[Tensor], list[Tensor]] = ([], [])
    apart = []
    for position in range(tokens):
        ours, theirs = torch.cat([session.logits() for session in alone]), batch.logits()
        count = min(ours.shape[-1], theirs.shape[-1])
        apart.append((ours[:, :count].softmax(-1) - theirs[:, :count].softmax(-1)).abs().double().sum(-1) / 2)
        drawn = [
            (choose(each, DECODING, noise[:, position])[0], inverted(each, uniform[:, position])[0])
            for each in (ours, theirs)
        ]
        for which in (0, 1):
            differ[which].append(drawn[0][which] != drawn[1][which])
        for row, session in enumerate(alone):
            session.push(texts[row, position : position + 1])
        batch.push(texts[:, position])
    gumbel, sums = (torch.stack(each, dim=-1).double() for each in differ)
    equal = [float((each.sum(-1) == 0).double().mean()) for each in (gumbel, sums)]
    return Repeated(float(torch.stack(apart).mean()), float(gumbel.mean()), float(sums.mean()), *equal)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder, or `random`")
    parser.add_argument("--other", help="a second model of the same tokens: a folder, or `random`")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=32)
    options = parser.parse_args()
    dtype = getattr(torch, options.dtype)
    one = opened(options.model, dtype)
    other = one if options.other is None else opened(options.other, dtype, seed=1)
    generator = torch.Generator().manual_seed(0)
    prompts = [torch.randint(3, 500, (8 + 3 * row,), generator=generator).tolist() for row in range(options.rows)]
    found = repeated(one, other, prompts, options.tokens)
    sys.stdout.write(f"{options.rows} rows of {options.tokens} tokens, {options.dtype}\n")
    sys.stdout.write("".join(f"{line}\n" for line in found.lines()))


if __name__ == "__main__":
    main()
