"""PPO of TRL 1.12.0, the last release that had it, as a process to be measured against.

It runs in an environment of its own (trl==1.12.0 does not go with the TRL this project is tested with), so it imports
nothing of this project::

    PYTHON tests/benchmarks/trl_ppo.py FOLDER BATCH RESPONSE UPDATES

``FOLDER`` holds ``model/`` (a saved Llama with its tokenizer) and ``prompts.json`` (lists of ids). For every line on
standard input it trains ``UPDATES`` updates of ``BATCH`` rollouts and prints the processor seconds that took.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.update(
    OMP_NUM_THREADS="1",
    HF_HUB_OFFLINE="1",
    TQDM_DISABLE="1",
    TRL_EXPERIMENTAL_SILENCE="1",
    TRANSFORMERS_VERBOSITY="error",
)
warnings.simplefilter("ignore")


def trainer_of(folder: Path, batch: int, response: int, updates: int) -> Any:
    """Return TRL's trainer: policy, reference, critic and reward model of one shape, 4 epochs, nothing logged."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    torch.set_num_threads(1)
    words = AutoTokenizer.from_pretrained(folder / "model", padding_side="left")
    prompts = json.loads((folder / "prompts.json").read_text(encoding="utf-8"))
    settings = PPOConfig(
        output_dir=tempfile.mkdtemp(prefix="benchmark-"),
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=1,
        num_mini_batches=1,
        num_ppo_epochs=4,
        local_rollout_forward_batch_size=batch,
        total_episodes=updates * batch,
        num_sample_generations=0,
        response_length=response,
        stop_token="eos",
        temperature=1.0,
        missing_eos_penalty=1.0,
        learning_rate=1e-5,
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
        logging_strategy="no",
        save_strategy="no",
        eval_strategy="no",
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
    )
    scored = {"num_labels": 1}
    return PPOTrainer(
        args=settings,
        processing_class=words,
        model=AutoModelForCausalLM.from_pretrained(folder / "model"),
        ref_model=AutoModelForCausalLM.from_pretrained(folder / "model"),
        reward_model=AutoModelForSequenceClassification.from_pretrained(folder / "model", **scored),
        value_model=AutoModelForSequenceClassification.from_pretrained(folder / "model", **scored),
        train_dataset=Dataset.from_list([{"input_ids": prompt} for prompt in prompts]),
    )


def main() -> None:
    folder, batch, response, updates = Path(sys.argv[1]), *(int(number) for number in sys.argv[2:5])
    printed = sys.stdout
    sys.stdout = sys.stderr  # what TRL prints must not stand between the figures
    trainer = trainer_of(folder, batch, response, updates)
    for _ in sys.stdin:
        began = time.process_time()
        trainer.train()
        printed.write(f"{time.process_time() - began}\n")
        printed.flush()


if __name__ == "__main__":
    main()
