"""Ctrl-C and SIGTERM as a wish that the training loop reads between two calls of the device.

Python sees neither while XLA compiles or a call of the device is running, but right after it.
"""

import signal
import threading


class Signals:
    """Within it the first SIGINT or SIGTERM is kept in `received`; one that comes after Python saw it ends
    the process."""

    def __init__(self):
        self.received: signal.Signals | None = None

    def __enter__(self) -> "Signals":
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number, _frame) -> None:
        self.received = signal.Signals(number)
        signal.signal(number, signal.SIG_DFL)
