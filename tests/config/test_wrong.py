"""Wrong comparison files: each is refused with the line and the key of what is wrong, never by another error."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config.load import load_comparison
from bench.core.errors import ConfigError
from tests.config.conftest import RIGHT

WORLD = "world: ./world.py\n    size: small"
JUDGES = "judges:\n      - ./judge.py\n      - judge: ./strict.py\n        margin: 0.5"
VERSUS = "versus: floor\n    orders"
SECOND = "  - metric: accuracy"
# name: (text to replace in RIGHT, its replacement with "#!" on the line to be named, key path, words of the message)
EDITS: dict[str, tuple[str, str, str, str]] = {
    # the root
    "question typo": ("question:", "qestion: Which is best? #!\nquestion:", "qestion", "Did you mean 'question'?"),
    "unknown section": ("statistics:", "stats: {} #!\nstatistics:", "stats", "unknown key"),
    "question empty": ("question: Which is best?", "question: #!", "question", "must be the question"),
    "question blank": ("question: Which is best?", "question: ' ' #!", "question", "must be the question"),
    "question number": ("question: Which is best?", "question: 3 #!", "question", "must be the question"),
    "duplicate root key": ("statistics:", "question: again #!\nstatistics:", "question", "in lines 1 and 44"),
    # given
    "given key typo": ("  max_length: 64", "  max_lenght: 64 #!", "given.max_lenght", "Did you mean 'max_length'?"),
    "max_length zero": ("max_length: 64", "max_length: 0 #!", "given.max_length", "greater than 0"),
    "max_length text": ("max_length: 64", "max_length: long #!", "given.max_length", "whole number, not 'long'"),
    "max_length float": ("max_length: 64", "max_length: 64.5 #!", "given.max_length", "whole number, not 64.5"),
    "max_length true": ("max_length: 64", "max_length: true #!", "given.max_length", "whole number, not true"),
    "seeds empty": ("seeds: [0, 1]", "seeds: [] #!", "given.seeds", "at least one seed"),
    "seeds duplicated": ("seeds: [0, 1]", "seeds: [0, 1, 0] #!", "given.seeds.2", "stands twice"),
    "seed negative": ("seeds: [0, 1]", "seeds: [0, -1] #!", "given.seeds.1", "from 0 on, not -1"),
    "seed true": ("seeds: [0, 1]", "seeds: [true] #!", "given.seeds.0", "not true"),
    "seed text": ("seeds: [0, 1]", "seeds: ['1'] #!", "given.seeds.0", "not '1'"),
    "seeds number": ("seeds: [0, 1]", "seeds: 3 #!", "given.seeds", "must be a list"),
    "seeds missing": ("given:\n", "given: #!\n", "given.seeds", "is missing"),
    "budget axis": ("axis: examples", "axis: exampels #!", "given.budget.axis", "Did you mean 'examples'?"),
    "budget negative": ("value: 100", "value: -5 #!", "given.budget.value", "greater than 0, not -5"),
    "budget infinite": ("value: 100", "value: 1e999 #!", "given.budget.value", "finite"),
    "budget without value": ("  budget:\n", "  budget: #!\n", "given.budget.value", "is missing"),
    "budget extra": ("value: 100", "value: 100\n    unit: rows #!", "given.budget.unit", "unknown key"),
    "lora rank zero": ("rank: 4", "rank: 0 #!", "given.lora.rank", "greater than 0"),
    "lora typo": ("rank: 4", "rnk: 4 #!", "given.lora.rnk", "Did you mean 'rank'?"),
    "lora dropout": ("rank: 4", "rank: 4\n    dropout: 1 #!", "given.lora.dropout", "less than 1"),
    "lora targets": ("rank: 4", "rank: 4\n    targets: q_proj #!", "given.lora.targets", "must be a list"),
    "lora target number": ("rank: 4", "rank: 4\n    targets: [1] #!", "given.lora.targets.0", "must be text, not 1"),
    "lora word": ("lora:\n    rank: 4", "lora: full #!", "given.lora", "`none` or a mapping"),
    # the base
    "base text": ("base:\n    " + WORLD, "base: gpt2 #!", "given.base", "must be a mapping"),
    "world unknown": ("world: ./world.py", "world: atlantis_ #!", "given.base.world", "unknown world 'atlantis_'"),
    "world no file": ("world: ./world.py", "world: ./worl.py #!", "given.base.world", "no such file"),
    "world is no world": ("world: ./world.py", "world: ./task.py #!", "given.base.world", "defines no World"),
    "world number": ("world: ./world.py", "world: 1 #!", "given.base.world", "name of a world, not 1"),
    "size unknown": ("size: small", "size: smal #!", "given.base.size", "Did you mean 'small'?"),
    "size missing": ("base:\n    " + WORLD, "base: #!\n    world: ./world.py", "given.base.size",
                     "known: small, large"),
    "size number": ("size: small", "size: 1 #!", "given.base.size", "no size 1"),
    "world field typo": ("size: small", "size: small\n    nois: 1 #!", "given.base.nois", "Did you mean 'noise'?"),
    "world field negative": ("size: small", "size: small\n    noise: -1 #!", "given.base.noise", "-1"),
    "two forms": ("base:\n    world: ./world.py", "base: #!\n    path: whole\n    world: ./world.py", "given.base",
                  "has world and path"),
    "no form": ("base:\n    " + WORLD, "base: #!\n    template: '{prompt}'", "given.base",
                "has none"),
    "model missing": (WORLD, "path: models/none #!", "given.base.path", "no such folder"),
    "model file": (WORLD, "path: demos.jsonl #!", "given.base.path", "no such"),
    "model partial": (WORLD, "path: partial #!", "given.base.path", "*.safetensors"),
    "model empty": (WORLD, "path: . #!", "given.base.path", "config.json and *.safetensors"),
    "path number": (WORLD, "path: 7 #!", "given.base.path", "must be text, not 7"),
    "path too long": (WORLD, f"path: {'x' * 5000} #!", "given.base.path", "no such folder"),
    "template": (WORLD, "path: whole\n    template: '{promt}' #!", "given.base.template",
                 "{prompt}"),
    "dtype": (WORLD, "path: whole\n    dtype: float8 #!", "given.base.dtype", "'float32'"),
    "common dtype": ("seeds:", "dtype: float16 #!\n  seeds:", "given.dtype", "'bfloat16'"),
    "dtyp": ("seeds:", "dtyp: bfloat16 #!\n  seeds:", "given.dtyp", "Did you mean 'dtype'?"),
    "keep": ("seeds:", "keep: int8 #!\n  seeds:", "given.keep", "'bfloat16'"),
    "world dtype": ("size: small", "size: small\n    dtype: float16 #!", "given.base.dtype", "'bfloat16'"),
    "repo without revision": ("base:\n    " + WORLD, "base: #!\n    repo: org/name",
                              "given.base.revision", "is missing"),
    "repo name": (WORLD, "revision: abc\n    repo: ./a/b/c #!", "given.base.repo",
                  "no repository name"),
    "revision number": (WORLD, "repo: org/name\n    revision: 12e34567 #!",
                        "given.base.revision", "must be"),
    "path with world field": (WORLD, "path: whole\n    size: small #!", "given.base.size",
                              "unknown key"),
    # data
    "data missing": ("path: demos.jsonl", "path: demo.jsonl #!", "given.demonstrations.path", "no such file"),
    "data folder": ("path: demos.jsonl", "path: whole #!", "given.demonstrations.path", "wanted a list of rows"),
    "data suffix": ("path: demos.jsonl", "path: prompts.txt #!", "given.demonstrations.path", ".txt"),
    "data empty": ("path: demos.jsonl", "path: empty.jsonl #!", "given.demonstrations.path", "no rows"),
    "data broken": ("path: demos.jsonl", "path: bad.jsonl #!", "given.demonstrations.path", "line 1"),
    "data no gzip": ("path: demos.jsonl", "path: bad.jsonl.gz #!", "given.demonstrations.path", "cannot be read"),
    "data rows": ("path: demos.jsonl", "path: list.jsonl #!", "given.demonstrations.path", "wanted named columns"),
    "data columns": ("path: demos.jsonl", "path: pairs.jsonl #!", "given.demonstrations.path", "'response'"),
    "column unknown": ("{chosen: better}", "{chosen: better, chozen: x} #!", "given.preferences.columns.chozen",
                       "Did you mean 'chosen'?"),
    "column number": ("{chosen: better}", "{chosen: 3} #!", "given.preferences.columns.chosen", "must be text, not 3"),
    "columns list": ("{chosen: better}", "[better] #!", "given.preferences.columns", "must be a mapping"),
    "limit zero": ("path: demos.jsonl", "path: demos.jsonl\n    limit: 0 #!", "given.demonstrations.limit", "greater"),
    "split unknown": ("path: demos.jsonl", "world: ./world.py\n    split: demonstration #!",
                      "given.demonstrations.split", "Did you mean 'demonstrations'?"),
    "split missing": ("demonstrations:\n    path: demos.jsonl", "demonstrations: #!\n    world: ./world.py",
                      "given.demonstrations.split", "is missing"),
    "world limit": ("path: demos.jsonl", "world: ./world.py\n    split: demonstrations\n    limit: few #!",
                    "given.demonstrations.limit", "whole number"),
    "data from url": ("demonstrations:\n    path: demos.jsonl", "demonstrations: #!\n    url: org/name",
                      "given.demonstrations", "exactly one of world, path"),
    "data null": ("demonstrations:\n    path: demos.jsonl", "demonstrations: #!", "given.demonstrations", "not empty"),
    # methods
    "needs": ("  again:\n", "  again: #!\n", "methods.again", "method again needs given.preferences"),
    "needs unknown": ("method: ./floor.py", "method: ./needy.py", "methods.floor", "Did you mean 'preferences'?"),
    "method unknown": ("method: ./floor.py", "method: flor #!", "methods.floor.method", "create methods/flor.py"),
    "method default name": ("  floor:\n    method: ./floor.py", "  foor_: #!", "methods.foor_",
        "unknown method 'foor_'"),
    "method no file": ("method: ./floor.py", "method: ./flor.py #!", "methods.floor.method", "no such file"),
    "method broken": ("method: ./floor.py", "method: ./broken.py #!", "methods.floor.method", "broken on purpose"),
    "method two": ("method: ./floor.py", "method: ./two.py #!", "methods.floor.method", "2 Method subclasses"),
    "method none": ("method: ./floor.py", "method: ./task.py #!", "methods.floor.method", "no Method subclass"),
    "method unfinished": ("method: ./floor.py", "method: ./abstract.py #!", "methods.floor.method", "policy()"),
    "method number": ("method: ./floor.py", "method: 3 #!", "methods.floor.method", "name of a method, not 3"),
    "method dotted": ("method: ./floor.py", "method: a.b #!", "methods.floor.method", "unknown method 'a.b'"),
    "arm text": ("floor:\n    method: ./floor.py", "floor: base #!", "methods.floor", "mapping of the method's fields"),
    "arm name": ("floor:\n    method: ./floor.py", "fl oor: {method: ./floor.py} #!", "methods.fl oor", "cannot name"),
    "arm number": ("floor:\n    method: ./floor.py", "1: {method: ./floor.py} #!", "methods", "put it in quotes"),
    "field typo": ("beta: 0.2", "beta: 0.2\n    epoch: 2 #!", "methods.tuned.epoch", "Did you mean 'epochs'?"),
    "field negative": ("beta: 0.2", "beta: -0.2 #!", "methods.tuned.beta", "greater than 0, not -0.2"),
    "field text": ("beta: 0.2", "beta: '0.2' #!", "methods.tuned.beta", "write it without quotes"),
    "field null": ("beta: 0.2", "beta: #!", "methods.tuned.beta", "must be a number, not empty"),
    "field literal": ("beta: 0.2", "loss: sigmoyd #!", "methods.tuned.loss", "Did you mean 'sigmoid'?"),
    "field bool": ("beta: 0.2", "shuffle: yes #!", "methods.tuned.shuffle", "true or false, not 'yes'"),
    "field list": ("beta: 0.2", "layers: [1, two] #!", "methods.tuned.layers.1", "whole number, not 'two'"),
    "field nan": ("beta: 0.2", "beta: .nan #!", "methods.tuned.beta", "must be a number"),
    "nested typo": ("beta: 0.2", "schedule:\n      warmpu: 1 #!", "methods.tuned.schedule.warmpu", "mean 'warmup'?"),
    "nested value": ("beta: 0.2", "schedule: {warmup: 0} #!", "methods.tuned.schedule.warmup", "greater than 0"),
    "fields disagree": ("  tuned:\n", "  tuned: #!\n    loss: hinge\n    epochs: 9\n", "methods.tuned",
        "at most 5 epochs"),
    "address smuggled": ("beta: 0.2", "is: os:system #!", "methods.tuned.is", "unknown key 'is'"),
    "arm lora": ("beta: 0.2", "lora: {rank: -1} #!", "methods.tuned.lora.rank", "greater than 0"),
    "arm lora empty": ("beta: 0.2", "lora: #!", "methods.tuned.lora", "`none` or a mapping"),
    "replicate empty": ("replicate: second", "replicate: #!", "methods.again.replicate", "name for the repetition"),
    "replicate number": ("replicate: second", "replicate: 2 #!", "methods.again.replicate", "not 2"),
    "replicate of nothing": ("replicate: second", "replicate: second #!\n    epochs: 3", "methods.again.replicate",
                             "repeats no other arm"),
    "same arm twice": ("  again:\n", "  once_more: {method: ./floor.py} #!\n  again:\n", "methods.once_more",
                       "same treatment"),
    "duplicate arm": ("  again:\n", "  floor: {} #!\n  again:\n", "methods.floor", "in lines 19 and 24"),
    # evaluation
    "evaluate key": ("  draws: 1", "  draw: 1 #!", "evaluate.draw", "Did you mean 'draws'?"),
    "draws zero": ("draws: 1", "draws: 0 #!", "evaluate.draws", "greater than 0"),
    "task unknown": ("- ./task.py", "- nonsense #!", "evaluate.tasks.0", "unknown task 'nonsense'"),
    "task twice": ("- ./task.py", "- ./task.py\n    - {task: ./task.py, limit: 3} #!", "evaluate.tasks.1", "twice"),
    "task field": ("- ./task.py", "- {task: ./task.py, limt: 3} #!", "evaluate.tasks.0.limt", "Did you mean 'limit'?"),
    "task limit": ("- ./task.py", "- {task: ./task.py, limit: -3} #!", "evaluate.tasks.0.limit", "greater than 0"),
    "task nameless": ("- ./task.py", "- {limit: 3} #!", "evaluate.tasks.0", "a text under 'task'"),
    "task number": ("- ./task.py", "- 3 #!", "evaluate.tasks.0", "not 3"),
    "task file": ("path: prompts.txt", "path: prompt.txt #!", "evaluate.tasks.1.path", "no such file"),
    "task file number": ("path: prompts.txt", "path: 1 #!", "evaluate.tasks.1.path", "must be text"),
    "task digest": ("path: prompts.txt", "path: prompts.txt\n      digest: abc #!", "evaluate.tasks.1.digest",
        "unknown"),
    "win rate key": (VERSUS, "verses: floor #!\n    versus: floor\n    orders",
                     "evaluate.win_rate.verses", "Did you mean 'versus'?"),
    "judge unknown": ("- ./judge.py", "- golden_ #!", "evaluate.win_rate.judges.0", "unknown judge 'golden_'"),
    "judge field": ("margin: 0.5", "margin: wide #!", "evaluate.win_rate.judges.1.margin", "must be a number"),
    "judge twice": ("- judge: ./strict.py", "- ./judge.py #!\n      - judge: ./strict.py", "evaluate.win_rate.judges.1",
                    "stands twice"),
    "judges text": (JUDGES, "judges: ./judge.py #!",
                    "evaluate.win_rate.judges", "must be a list"),
    "versus unknown": (VERSUS, "versus: flor #!\n    orders", "evaluate.win_rate.versus",
                       "Did you mean 'floor'?"),
    "versus list": (VERSUS, "versus: [floor] #!\n    orders", "evaluate.win_rate.versus", "a list"),
    "orders": ("orders: both", "orders: second #!", "evaluate.win_rate.orders", "'both' or 'first'"),
    "contrast unknown": ("[tuned, floor]", "[tunde, floor] #!", "evaluate.contrasts.0.0", "Did you mean 'tuned'?"),
    "contrast itself": ("[tuned, floor]", "[tuned, tuned] #!", "evaluate.contrasts.0", "against itself"),
    "contrast twice": ("[tuned, floor]", "[tuned, floor]\n    - [floor, tuned] #!", "evaluate.contrasts.1", "twice"),
    "contrast three": ("[tuned, floor]", "[tuned, floor, again] #!", "evaluate.contrasts.0", "a list of 3"),
    "contrast text": ("[tuned, floor]", "tuned #!", "evaluate.contrasts.0", "must be a pair"),
    # statistics
    "level": ("level: 0.9", "level: 95 #!", "statistics.level", "less than 1, not 95"),
    "level low": ("level: 0.9", "level: 0.05 #!", "statistics.level", "greater than 0.5"),
    "correction": ("correction: holm", "correction: bonferroni #!", "statistics.correction", "'holm'"),
    "resamples": ("level: 0.9", "resamples: 10 #!", "statistics.resamples", "greater than or equal to 200"),
    "missing rows": ("level: 0.9", "missing: ignore #!", "statistics.missing", "'refuse' or 'drop_prompts'"),
    "primary typo": ("level: 0.9", "primary: {metric: win_rat} #!", "statistics.primary.metric", "mean 'win_rate'?"),
    "primary key": ("level: 0.9", "primary: {metrik: win_rate, metric: ended} #!", "statistics.primary.metrik",
                    "Did you mean 'metric'?"),
    "primary judge": ("level: 0.9", "primary: {metric: win_rate, judge: stub_strikt} #!", "statistics.primary.judge",
                      "Did you mean 'stub_strict'?"),
    "primary of a task": ("level: 0.9", "primary: {metric: ended, judge: strict} #!", "statistics.primary.judge",
                          "it has no judge"),
    "primary without ratings": ("level: 0.9", "primary: {metric: rating} #!", "statistics.primary.metric",
                                "add `ratings:`"),
    "betting over seeds": ("level: 0.9", "test: betting #!", "statistics.test", "one training seed, and there are 2"),
    "secondary": ("level: 0.9", "secondary: later #!", "statistics.secondary", "'beside' or 'after_primary'"),
    "gatekeeper without a correction": (
        "level: 0.9\n  correction: holm", "secondary: after_primary #!\n  correction: none", "statistics.secondary",
        "use `correction: holm`"),
    "statistics key": ("level: 0.9", "levle: 0.9 #!", "statistics.levle", "Did you mean 'level'?"),
    # the gate
    "gate metric": ("metric: accuracy", "metric: acuracy #!", "gate.1.metric", "Did you mean 'accuracy'?"),
    "gate method": ("method: tuned\n    versus: floor\n    not", "method: tuend #!\n    versus: floor\n    not",
                    "gate.1.method", "Did you mean 'tuned'?"),
    "gate versus": ("versus: floor\n    not", "versus: flor #!\n    not", "gate.1.versus", "no method 'flor'"),
    "gate judge": ("judge: stub_judge", "judge: stub_juge #!", "gate.0.judge", "Did you mean 'stub_judge'?"),
    "gate judge of accuracy": ("not_worse_by: 0.02", "not_worse_by: 0.02\n    judge: stub_judge #!", "gate.1.judge",
                               "has no judge"),
    "gate task": ("not_worse_by: 0.02", "not_worse_by: 0.02\n    task: question #!", "gate.1.task",
        "mean 'questions'?"),
    "gate metric of task": ("metric: accuracy", "task: from_file\n    metric: accuracy #!", "gate.1.metric", "no task"),
    "gate two margins": (SECOND, "  - metric: accuracy #!\n    superior_by: 0.1", "gate.1", "exactly one"),
    "gate negative margin": ("not_worse_by: 0.02", "not_worse_by: -0.02 #!", "gate.1.not_worse_by", "greater than 0"),
    "gate margin text": ("not_worse_by: 0.02", "not_worse_by: little #!", "gate.1.not_worse_by", "must be a number"),
    "gate key": ("not_worse_by: 0.02", "not_worse: 0.02 #!\n    not_worse_by: 0.02", "gate.1.not_worse",
        "not_worse_by"),
    "gate itself": (SECOND + "\n    method: tuned", "  - metric: accuracy #!\n    method: floor", "gate.1",
                    "against itself"),
    "gate no direction": ("metric: accuracy", "metric: response_tokens #!", "gate.1.metric", "equivalent_within"),
    "gate text": (SECOND, "  - accuracy #!\n  - metric: accuracy", "gate.1", "must be a mapping"),
    "gate without method": (SECOND + "\n    method: tuned", "  - metric: accuracy #!", "gate.1.method", "missing"),
    # YAML
    "key twice": ("size: small", "size: small\n    size: large #!", "given.base.size", "in lines 5 and 6"),
    "tag": ("beta: 0.2", "beta: !!python/name:os.system x #!", "methods.tuned.beta", "not allowed"),
    "bad explicit number": ("beta: 0.2", "beta: !!int many #!", "methods.tuned.beta", "cannot be read as int"),
    "null key": ("beta: 0.2", "beta: 0.2\n    ~: 1 #!", "methods.tuned", "a key must be text"),
    "variable unset": ("path: demos.jsonl", "path: ${NOT_SET_AT_ALL}/d.jsonl #!", "given.demonstrations.path",
        "not set"),
    "variable malformed": ("path: demos.jsonl", "path: ${1 #!", "given.demonstrations.path", "no reference"),
    "null character": ("path: demos.jsonl", 'path: "a\\0b" #!', "given.demonstrations.path", "cannot be read as text"),
    "merge of text": ("beta: 0.2", "beta: 0.2\n    <<: text #!", "methods.tuned", "takes a mapping"),
}  # fmt: skip
REMOVED = {  # further texts taken out of RIGHT by the case of that name
    "seeds missing": ("  seeds: [0, 1]\n",),
    "budget without value": ("    value: 100\n",),
    "needs": ("  preferences:\n    path: pairs.jsonl\n    columns: {chosen: better}\n",),
}
FOLLOWED = {  # where other keys of RIGHT rest on what was changed, so that more than one key is wrong
    "needs": 2,  # both tuned and again
    "data from url": 2,
    "method default name": 5,  # floor is gone, and four keys name it
    "arm name": 5,
    "arm number": 5,
}
WHOLE: dict[str, tuple[str, str, str]] = {  # name: (file with "#!" on the line to be named, key path, words)
    "empty": ("", "", "the file is empty"),
    "comments only": ("# nothing\n", "", "the file is empty"),
    "null": ("null #!\n", "", "the file is empty"),
    "list": ("- question #!\n", "", "a comparison is a mapping"),
    "text": ("\n\njust words #!\n", "", "a comparison is a mapping"),
    "unclosed bracket": ("question: x\ngiven: [1, 2\nmethods: {} #!\n", "", "not valid YAML"),
    "bad indent": ("question: x\n  given: y #!\n", "", "not valid YAML"),
    "tab": ("question: x\ngiven:\n\tbase: y #!\n", "", "not valid YAML"),
    "two documents": ("question: x\n--- #!\nquestion: y\n", "", "not valid YAML"),
    "unknown alias": ("question: *nobody #!\n", "", "not valid YAML"),
    "unclosed quote": ("question: 'x\n\n#!", "", "not valid YAML"),
    "control character": ("question: x\ngiven: \x07 #!\n", "", "control character"),
    "alias of itself": ("question: x\ngiven: &a #!\n  base: *a\n", "given.base", "contains itself"),
    "too deep": ("question: " + "[" * 1200 + " #!", "", "nested too deeply"),
    "no given": ("question: x #!\nmethods: {}\n", "given", "is missing"),
    "no question": ("given: {} #!\n", "question", "is missing"),
    "methods empty": ("methods: {} #!\n", "methods", "at least one method"),
    "methods null": ("methods: #!\n", "methods", "at least one method"),
    "methods list": ("methods: [sft] #!\n", "methods", "not a list"),
    "tasks empty": ("evaluate: {tasks: []} #!\n", "evaluate.tasks", "at least one task"),
    "tasks missing": ("evaluate: {draws: 1} #!\n", "evaluate.tasks", "is missing"),
    "win rate null": ("evaluate: {tasks: [], win_rate: } #!\n", "evaluate.win_rate", "must be a mapping"),
    "win rate without judges": ("evaluate: {tasks: [], win_rate: {}} #!\n", "evaluate.win_rate.judges", "is missing"),
    "gate empty": ("gate: [] #!\n", "gate", "at least one criterion"),
    "gate mapping": ("gate: {metric: x} #!\n", "gate.metric", "unknown key 'metric'"),
    "gate without criteria": ("gate: {correction: none} #!\n", "gate.criteria", "is missing"),
    "gate correction": ("gate: {criteria: [], correction: holms} #!\n", "gate.correction", "Did you mean 'holm'"),
    "statistics list": ("statistics: [0.95] #!\n", "statistics", "must be a mapping"),
    "given null": ("given: #!\n", "given", "must be a mapping"),
    "extends itself": ("extends: comparison.yaml #!\n", "extends", "comparison.yaml -> comparison.yaml"),
    "extends nothing": ("extends: nowhere.yaml #!\n", "extends", "no such file"),
    "extends number": ("extends: 3 #!\n", "extends", "path of another comparison"),
    "question huge number": ("question: " + "9" * 5000 + " #!\n", "question", "cannot be read as int"),
}  # fmt: skip


def edited(name: str) -> tuple[str, str, str]:
    old, new, key, words = EDITS[name]
    assert RIGHT.count(old) >= 1, f"{name}: {old!r} is not in the right file"
    text = RIGHT.replace(old, new, 1)
    for part in REMOVED.get(name, ()):
        assert part in text
        text = text.replace(part, "", 1)
    return text, key, words


def refusal(folder: Path, text: str) -> ConfigError:
    (folder / "comparison.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_comparison(folder)
    return caught.value


def check(error: ConfigError, text: str, key: str, words: str) -> None:
    lines = [number for number, line in enumerate(text.split("\n"), 1) if "#!" in line]
    places = [f"comparison.yaml:{line} {key}".rstrip() for line in lines or [problem_line(error)]]
    found = [problem for problem in error.problems if problem.where in places and words in str(problem)]
    assert found, f"wanted {places} with {words!r} in:\n{error}"
    assert "Traceback" not in str(error)


def problem_line(error: ConfigError) -> int:
    return int(error.problems[0].where.split(":")[1].split()[0])


def test_the_right_file_is_right(place: Path) -> None:
    (place / "comparison.yaml").write_text(RIGHT)
    assert load_comparison(place).name == place.name
    assert len(EDITS) + len(WHOLE) >= 150


@pytest.mark.parametrize("name", EDITS)
def test_one_wrong_thing(place: Path, name: str) -> None:
    text, key, words = edited(name)
    error = refusal(place, text)
    check(error, text, key, words)
    # One wrong thing is told once: no cascade of complaints about what rests on it.
    assert len(error.problems) <= FOLLOWED.get(name, 1), str(error)


@pytest.mark.parametrize("name", WHOLE)
def test_a_wrong_whole(place: Path, name: str) -> None:
    text, key, words = WHOLE[name]
    check(refusal(place, text), text, key, words)


def test_all_problems_are_told_at_once_in_the_order_of_the_lines(place: Path) -> None:
    text = RIGHT.replace("rank: 4", "rank: 0").replace("beta: 0.2", "beta: -1", 1).replace("level: 0.9", "level: 9")
    problems = refusal(place, text).problems
    assert [problem.where.split()[1] for problem in problems] == [
        "given.lora.rank",
        "methods.tuned.beta",
        "statistics.level",
    ]


def test_bytes_that_are_no_text(place: Path) -> None:
    (place / "comparison.yaml").write_bytes(b"question: x\ngiven: \xff\xfe\n")
    with pytest.raises(ConfigError, match=r"comparison\.yaml:2: not UTF-8 text"):
        load_comparison(place)


def test_no_file(place: Path) -> None:
    with pytest.raises(ConfigError, match="no such comparison file"):
        load_comparison(place / "nowhere")


def test_a_billion_laughs(place: Path) -> None:
    rows = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    rows += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "aliases" in str(refusal(place, "\n".join(rows)))


def test_a_circle_of_three(place: Path) -> None:
    (place / "b.yaml").write_text("extends: c.yaml\n")
    (place / "c.yaml").write_text("\nextends: comparison.yaml\n")
    error = refusal(place, "extends: b.yaml\n")
    assert error.problems[0].where == "c.yaml:2 extends"
    assert "comparison.yaml -> b.yaml -> c.yaml -> comparison.yaml" in error.problems[0].what


def test_a_judge_that_cannot_rate_is_refused_for_ratings(place: Path) -> None:
    (place / "comparison.yaml").write_text(RIGHT.replace("  draws: 1\n", "  draws: 1\n  ratings: [first_wins]\n"))
    with pytest.raises(ConfigError) as caught:
        load_comparison(place)
    (problem,) = caught.value.problems
    assert problem.where.endswith("evaluate.ratings.0")
    assert "cannot rate one response. Choose another judge" in problem.what
