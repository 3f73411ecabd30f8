"""Supervised fine-tuning as a stage."""

from __future__ import annotations

from typing import ClassVar

from bench.core.stage import StageIO
from methods._train.fine_tuning import FineTuning


class TrainSFT(FineTuning):
    """Supervised fine-tuning on rows of ``prompt`` and ``response``; see ``methods/sft.py``."""

    KIND: ClassVar[str] = "train/sft"
    VERSION: ClassVar[int] = 3

    def run(self, io: StageIO) -> None:
        """Train, and write the policy."""
        from methods._train.sft.train import train_sft

        train_sft(self, io)
