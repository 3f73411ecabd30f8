"""Teaching one model to tell preferred from dispreferred responses by an instruction: settings, stage and loss.

It is HIR's relabelling (Zhang et al. 2023, arXiv:2302.05206) on preference pairs, which is the first step of RAHF-SCIT
(Liu et al. 2024, arXiv:2312.15997). ``methods/hir.py`` and ``methods/rahf.py`` share it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import yaml
from pydantic import Field, PositiveFloat, PositiveInt

from bench.core.stage import StageIO
from methods._train.representations.contrast_loss import ContrastFields, Instructions, Mean, Positions
from methods._train.settings import Fraction, Optimisation

INSTRUCTIONS_FILE = Path(__file__).resolve().parents[2] / "_data" / "rahf_instructions.yaml"


@cache
def named_instructions() -> dict[str, Instructions]:
    """Return the sets of instructions that come with this program, by name."""
    found = yaml.safe_load(INSTRUCTIONS_FILE.read_text(encoding="utf-8"))
    return {name: Instructions.model_validate(texts) for name, texts in found.items()}


class ContrastSettings(Optimisation):
    """The settings of contrastive instruction tuning.

    The optimiser's defaults are those of RAHF's released code (lr 2e-5, linear, warm-up 0.1, 2 epochs). An example is
    a pair, which gives two rows (the chosen response under the good instruction, the rejected one under the bad), so
    that 32 pairs are its 64 rows.

    ``instructions``: the name of a set in ``methods/_data/rahf_instructions.yaml``, or two texts of your own
    (``{good: ..., bad: ...}``). The texts themselves are in the key.
    ``smoothing``: the label smoothing epsilon of the contrast; 0 in the RAHF paper, 0.2 in HIR and in both codes.
    ``contrast_positions``: ``shifted`` takes log P(y_t | what stands before it), as the papers write it.
    ``unshifted`` scores each token at its own position, where it has been read already; so does RAHF's released code,
    which took over a loss written for encoder-decoders.
    ``contrast_mean``: ``response`` averages log P over the response's tokens. ``padded`` divides by the longest row
    (prompt and response) of the optimiser batch instead; so does RAHF's released code, in effect.
    ``language_mean``: how the language-modelling term is averaged: ``response`` counts every response alike, as the
    contrast does; ``tokens`` counts every token alike; so does RAHF's released code.
    """

    lr: PositiveFloat = 2e-5
    schedule: Literal["cosine", "linear", "constant"] = "linear"
    warmup: Fraction = 0.1
    epochs: PositiveInt = 2
    batch_size: PositiveInt = 32
    instructions: Literal["english", "brief", "atlas"] | Instructions = "english"
    smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    contrast_positions: Positions = "shifted"
    contrast_mean: Mean = "response"
    language_mean: Literal["response", "tokens"] = "response"

    def texts(self) -> Instructions:
        """Return the instructions themselves."""
        if isinstance(self.instructions, Instructions):
            return self.instructions
        return named_instructions()[self.instructions]


class TrainContrast(ContrastFields):
    """Contrastive instruction tuning on rows of ``prompt``, ``chosen`` and ``rejected``; see ``ContrastSettings``."""

    KIND: ClassVar[str] = "train/contrast"
    VERSION: ClassVar[int] = 3

    def run(self, io: StageIO) -> None:
        """Train, and write the policy."""
        from methods._train.representations.train_contrast import train_contrast

        train_contrast(self, io)
