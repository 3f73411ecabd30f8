"""What the server of ``tests.forked`` has loaded before it forks: all that a run with its training imports."""

from __future__ import annotations

import gc

import peft  # noqa: F401
import transformers.models.llama.modeling_llama  # noqa: F401

import bench.models.load
import bench.pipeline.compare  # noqa: F401
import methods

EVERYTHING = [getattr(methods, name) for name in methods.__all__]
gc.freeze()  # forks look through none of it when they collect garbage
