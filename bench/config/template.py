"""The comparison file that ``bench new`` writes: small, complete, and commented."""

from __future__ import annotations

import re

from bench.core.errors import BenchError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_TEXT = """\
# {name}: a comparison of alignment methods. Run it with `bench run {name}`; look before with `bench plan {name}`.

question: Does DPO make the atlas model better than supervised fine-tuning does?

# What every method gets: the same base model, data, adapter and training seeds.
given:
  base: {{world: atlas, size: base}}            # the embedded world: made here, nothing is downloaded
  # base: {{path: ../../models/mine, template: "Question: {{prompt}} Answer:"}}    # a folder of your own
  # base: {{repo: org/name, revision: a-commit}}                               # a model of the Hugging Face hub
  demonstrations: {{world: atlas, split: demonstrations}}
  # demonstrations: {{path: rows.jsonl, columns: {{prompt: question, response: answer}}, limit: 5000}}
  preferences: {{world: atlas, split: preferences}}
  # preferences: {{path: pairs.jsonl}}            # rows with prompt, chosen and rejected
  lora: none                                   # full fine-tuning; or {{rank: 8}}
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
  win_rate: {{judges: [gold], versus: sft, orders: both}}
  # contrasts: [[dpo, base]]                   # further pairs

statistics: {{level: 0.95, correction: holm}}

# What must hold for `bench check` to pass, declared before the run.
gate:
  - {{metric: win_rate, method: dpo, versus: sft, judge: gold, superior_by: 0.0}}
"""


def new_comparison(name: str) -> str:
    """Return the text of a comparison file that loads as it stands.

    ``name`` is the folder it goes to; raises BenchError for one that cannot be a folder's name.
    """
    if not _NAME.fullmatch(name.rstrip("/").rpartition("/")[2]):
        raise BenchError(f"'{name}' cannot name a comparison. Use letters, digits, '_', '-' and '.'.")
    if not name.isprintable():
        raise BenchError("a comparison's path must be printable")
    return _TEXT.format(name=name)
