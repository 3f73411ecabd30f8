"""Whether the weights of a safetensors file are finite numbers, read piece by piece and without torch."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

from bench.core.errors import DataError

_PIECE = 16_000_000  # bytes that are in memory together
# For each type of floating point numbers, the whole numbers of its bits, and those of its exponent, which are all set
# where a number is infinite or none.
_EXPONENTS: dict[str, tuple[str, int]] = {
    "F64": ("<u8", 0x7FF0_0000_0000_0000),
    "F32": ("<u4", 0x7F80_0000),
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
}


def check_numbers(file: Path, where: str) -> None:
    """Raise DataError for a file with a weight that is NaN or infinite; its head has been checked before."""
    with file.open("rb") as content:
        length = struct.unpack("<Q", content.read(8))[0]
        head = json.loads(content.read(length))
        for name, entry in head.items():
            # A number alone is no weight: old checkpoints (GPT-NeoX) keep the value of masked places so, in half
            # precision -inf. Where it is a parameter, loading looks at it.
            if name == "__metadata__" or entry["dtype"] not in _EXPONENTS or not entry["shape"]:
                continue
            bits, exponent = _EXPONENTS[entry["dtype"]]
            begin, end = entry["data_offsets"]
            content.seek(8 + length + begin)
            left = end - begin
            while left:
                read = content.read(min(_PIECE, left))
                if len(read) < min(_PIECE, left):
                    raise DataError(f"{where}: became shorter while it was read. Get it again.")
                left -= len(read)
                piece = np.frombuffer(read, bits)
                if bool(((piece & exponent) == exponent).any()):
                    raise DataError(
                        f"{where} holds weights that are no finite numbers ({name}: NaN or infinite). Nothing can be "
                        "computed with it: get it again, or take an earlier checkpoint."
                    )
