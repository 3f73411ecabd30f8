"""The signals that end the program: Ctrl-C, a scheduler that ends its job, a terminal that is closed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Ended(BaseException):
    """A signal has ended the program; its name is the text. No ``except Exception`` holds it up, nor does click."""


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise Ended within the block where one of the signals comes, so that whatever is open is closed: workers too.

    A signal that is ignored stays ignored (``nohup``). After the first, further ones but Ctrl-C change nothing: a
    terminal that closes sends several, and closing takes a moment. Outside of the main thread nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING}
    caught = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]

    def end(number: int, _frame: FrameType | None) -> None:
        for other in caught:
            if other != signal.SIGINT:
                signal.signal(other, signal.SIG_IGN)
        raise Ended(signal.Signals(number).name)

    for number in caught:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, before[number])
