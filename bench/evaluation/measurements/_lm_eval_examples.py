"""Few-shot examples that are apart from the documents asked: an example shows the answer."""

from __future__ import annotations

import json
from typing import Any

from lm_eval.tasks import TaskManager

from bench.core.errors import StageError


class ExamplesApart(TaskManager):
    """Loads tasks as lm-eval does (0.4.13), and takes every document that is asked out of what examples are drawn from.

    ``examples``: how many the comparison asks for, None for what the task says. lm-eval draws examples from the
    documents asked where a task has no other split, and leaves out the one document at hand only where the task names
    that split. ``left_out``: how many documents were taken out of the splits that examples come from.
    """

    examples: int | None = None
    left_out: int = 0

    def load(self, task_list: Any) -> Any:
        """Return the tasks; raises StageError for one whose examples could only be documents that are asked."""
        loaded = super().load(task_list)
        for name, task in loaded["tasks"].items():
            own = task.get_config("num_fewshot")
            wanted = own if own == 0 or self.examples is None else self.examples
            if wanted:
                self._keep_apart(name, task, wanted)
        return loaded

    def _keep_apart(self, name: str, task: Any, wanted: int) -> None:
        asked = {_question(task, document) for document in task.eval_docs}
        pool = list(task.sampler.fewshot_docs())
        apart = [document for document in pool if _question(task, document) not in asked]
        # lm-eval draws one more where the examples' split is the one that is asked.
        spare = int(task.fewshot_cfg.split is not None and task.fewshot_cfg.split == task.config.test_split)
        if len(apart) < wanted + spare:
            raise StageError(
                f"the task {name!r} has {len(apart)} documents to take {wanted} few-shot examples from: the other "
                f"{len(pool) - len(apart)} are asked themselves, and an example shows the answer. Give the task a "
                "fewshot_split (or training_split) or fewshot_config.samples, or set num_fewshot: 0."
            )
        if len(apart) < len(pool):
            task.sampler.replace_df(apart)
            task.sampler.fewshot_indices = None
            self.left_out += len(pool) - len(apart)


def _question(task: Any, document: Any) -> str:
    text = task.doc_to_text(document)
    if isinstance(text, str):
        return text
    return json.dumps(document, sort_keys=True, default=str)
