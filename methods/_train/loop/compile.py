"""Compiled blocks: ``torch.compile`` fuses the operations of each block, where that pays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from bench.core.errors import StageError
from bench.models.packing.decoder import decoder_of
from bench.models.packing.hidden_states import blocks
from bench.models.packing.sharing import why_not_shared

BACKEND = "inductor"


@contextmanager
def compiled_blocks(model: nn.Module) -> Iterator[None]:
    """Compile each block of a model (a block of one kind once, for lengths of any kind), as long as this is open.

    Rows are padded while it is (``bench.models.packing.sharing``): a packing is other Python values in every batch,
    and each would be compiled anew. Raises StageError for a model whose blocks are not known, and where the compiler
    fails.
    """
    decoder = decoder_of(model)
    why_not_shared(decoder)  # its trial runs the blocks as they are
    own = list(blocks(decoder))
    for block in own:
        block.compile(backend=BACKEND, dynamic=True)
    try:
        yield
    except torch._dynamo.exc.BackendCompilerFailed as error:
        raise StageError(
            f"the blocks of {type(decoder.causal).__name__} cannot be compiled: {error.inner_exception}\n"
            "Set graph to eager, or install a C++ compiler (on a GPU, Triton)."
        ) from error
    finally:
        for block in own:
            block._compiled_call_impl = None
