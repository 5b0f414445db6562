"""Keeps Ctrl-C and SIGTERM as a wish that the training loop reads between two calls of the device.

Python's handlers run in the main thread, which sees nothing while XLA compiles or a call of the device is
under way. Its C code, though, writes the number of a signal to a file at once, and a thread here reads that.
"""

import os
import signal
import threading
from collections.abc import Callable

from experiments import errors

NUMBERS = (signal.SIGINT, signal.SIGTERM)
ECHO = 0.1  # seconds in which it is the same signal again: launchers pass on what a terminal has sent to all


class Signals:
    """Within it the first SIGINT or SIGTERM is kept in `received`, which is said at once; another one, from
    then on, ends the process without delay. One within another is the same.

    drop: called before the process is ended. say: says a sentence; leave: ends the process with a status and
    a sentence. These are of the outermost.
    """

    _outermost: "Signals | None" = None

    def __init__(
        self,
        drop: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda sentence: print(sentence, flush=True),
        leave: Callable[[int, str], None] = errors.leave,
    ):
        self.received: signal.Signals | None = None
        self._drop, self._tell, self._leave = drop, say, leave
        self._said = threading.Event()
        self._saying = threading.Timer(ECHO, self._say)
        self._saying.daemon = True

    def __enter__(self) -> "Signals":
        if threading.current_thread() is not threading.main_thread():
            return self  # it cannot have handlers
        if Signals._outermost is None:
            Signals._outermost = self
            numbers, self._pipe = os.pipe()
            os.set_blocking(self._pipe, False)
            threading.Thread(target=self._listen, args=(numbers,), daemon=True).start()
            self._file_before = signal.set_wakeup_fd(self._pipe, warn_on_full_buffer=False)
            self._before = {number: signal.signal(number, self._receive) for number in NUMBERS}
        return Signals._outermost

    def __exit__(self, *_) -> None:
        if Signals._outermost is not self:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._file_before)
        os.close(self._pipe)  # upon which the thread ends
        self._saying.cancel()
        Signals._outermost = None

    def send(self) -> None:
        """Asks this process to stop, as a SIGTERM does, unless it is stopping already."""
        if not self.received:
            os.kill(os.getpid(), signal.SIGTERM)

    def _receive(self, number: int, _frame=None) -> None:
        self.received = self.received or signal.Signals(number)

    def _listen(self, numbers: int) -> None:
        begun = False
        with open(numbers, "rb", buffering=0) as file:
            while heard := file.read(1):
                if heard[0] not in NUMBERS:
                    continue
                if self._said.is_set():
                    self._end(signal.Signals(heard[0]))
                elif not begun:
                    begun = True
                    self._receive(heard[0])
                    self._saying.start()

    def _say(self) -> None:
        self._said.set()
        again = "Ctrl-C" if self.received == signal.SIGINT else self.received.name
        self._tell(f"stopping after the updates under way; {again} again drops them")

    def _end(self, number: signal.Signals) -> None:
        self._drop()
        said = "dropped the updates under way; the same command goes on from the last checkpoint."
        self._leave(128 + number, f"{number.name}: {said}")
