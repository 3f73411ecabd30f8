"""The comparison file that ``bench new`` writes: small, complete, and commented."""

from __future__ import annotations

import re
import shlex

from bench.core.errors import BenchError, abridged

_LONGEST_NAME = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_TEXT = """\
# {name}: a comparison of alignment methods. Run it with `bench run {folder}`; look before with `bench plan {folder}`.

question: Does DPO make the atlas model better than supervised fine-tuning does?

# What every method gets: the same base model, data, adapter and training seeds.
given:
  base: {{world: atlas, size: base}}            # the embedded world: made here, nothing is downloaded
  # base: {{path: ../../models/mine, template: "Question: {{prompt}} Answer:"}}    # a folder of your own
  # base: {{repo: org/name, revision: a-commit}}                               # a model of the Hugging Face hub
  # base: {{gguf: ../../models/mine.gguf}}       # a GGUF file; `load_in: 4bit` with any of these: docs/models.md
  demonstrations: {{world: atlas, split: demonstrations}}
  # demonstrations: {{path: rows.jsonl, columns: {{prompt: question, response: answer}}, limit: 5000}}
  preferences: {{world: atlas, split: preferences}}
  # preferences: {{path: pairs.jsonl}}            # rows with prompt, chosen and rejected
  lora: none                                   # full fine-tuning; or {{rank: 8}}
  # dtype: bfloat16                            # what is computed in; what is trained and stored stays float32
  # keep: bfloat16                             # store whole trained weights rounded, in half the space
  # budget: {{axis: examples, value: 4000}}       # a limit on every training stage of every method
  seeds: [0, 1, 2]                             # training runs; three or more speak about the procedure

# The arms: a name, and the fields of its method (`bench methods NAME` shows them).
methods:
  base: {{}}                                     # the untouched base: the floor
  sft: {{}}
  dpo: {{beta: 0.1}}
  dpo_again: {{method: dpo, beta: 0.1, replicate: second}}    # an A/A control: must come out undecided
  # mine: {{method: ./my_method.py}}              # a file beside this one, with one Method subclass

# How all arms are scored. Every arm is held against `versus`, every replicate against the arm it repeats.
evaluate:
  tasks: [atlas_questions]                     # `bench tasks` lists them
  # tasks: [atlas_questions, {{lm_eval: atlas_facts}}]          # and tasks of lm-eval (docs/lm_eval.md)
  win_rate:
    judges: [gold]                             # `bench judges` lists them; docs/judges.md
    # judges: [gold, human]                    # people, by `bench human` (docs/judges_paid.md)
    # judges: [gold, {{judge: api, model: a-model, base_url: "http://localhost:8000/v1"}}]  # asked once
    versus: sft
    orders: both
    # length_control: glm                      # a win rate at equal length beside it (docs/statistics.md)
  # factuality: {{extractor: task, verifier: exact}}     # claims, and how often they are wrong (docs/factuality.md)
  # divergence: {{from: sft}}                    # KL divergence from that arm
  # tax: {{versus: sft, margin: 0.01}}           # what tasks of lm-eval, once there are any, may lose
  # contrasts: [[dpo, base]]                   # further pairs

statistics: {{level: 0.95, correction: holm}}
# statistics: {{correction: max_t, detect: 0.05}}       # how many seeds and prompts would show this difference?

# timeout: 7200                                # seconds of one stage; a stage has no limit without it

# What must hold for `bench check` to pass, declared before the run (docs/gate.md).
gate:
  - {{metric: win_rate, method: dpo, versus: sft, judge: gold, superior_by: 0.0}}
  # - {{metric: response_words, method: dpo, versus: sft, equivalent_within: 10}}
  # - {{metric: correct, method: dpo, versus: baseline, not_worse_by: 0.1}}     # itself earlier; see `bench baseline`
"""


def new_comparison(folder: str) -> str:
    """Return the text of a comparison file that loads as it stands.

    ``folder`` is where it goes, as a command is to name it; raises BenchError for one that cannot be a folder's name.
    """
    name = folder.rstrip("/").rpartition("/")[2]
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        what = f"letters, digits, '_', '-' and '.', at most {_LONGEST_NAME} of them"
        raise BenchError(f"'{abridged(name, 60)}' cannot name a comparison. Use {what}.")
    if not folder.isprintable():
        raise BenchError("a comparison's path must be printable")
    return _TEXT.format(name=name, folder=shlex.quote(folder))
