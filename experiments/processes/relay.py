"""Relays a process's bytes to the coordinator, and so hears of the end of process 0 before JAX does.

JAX aborts its process, with a stack of C++, as soon as its connection to the coordinator breaks, and takes no
Python function to call instead. So its client connects to a socket here, and its bytes are passed on; where
the coordinator goes, the client is told nothing until `lost` has returned.
"""

import contextlib
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator

#: Linux's options by which a host that is gone without a word is missed within a minute, before JAX does so
SILENT = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 6, "TCP_USER_TIMEOUT": 45_000}


@contextlib.contextmanager
def relay(coordinator: str, lost: Callable[[], None]) -> Iterator[str]:
    """Gives the address to which JAX's client connects within the block; the connection outlives the block.

    coordinator: HOST:PORT. lost: called in a thread where the coordinator is gone after the block.
    """
    host, _, port = coordinator.rpartition(":")
    there, joined = (host.strip("[]"), int(port)), threading.Event()
    server = socket.socket(socket.AF_UNIX)
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/relay"  # a file: no other user reaches it, and gRPC asks no proxy for the way
        server.bind(address)
        server.listen()
        ended = lambda: lost() if joined.is_set() else None
        threading.Thread(target=_serve, args=(server, there, ended), daemon=True).start()
        yield f"unix:{address}"
    joined.set()


def _serve(server: socket.socket, there: tuple[str, int], ended: Callable[[], None]) -> None:
    while True:
        near, _ = server.accept()
        threading.Thread(target=_connect, args=(near, there, ended), daemon=True).start()


def _connect(near: socket.socket, there: tuple[str, int], ended: Callable[[], None]) -> None:
    try:
        far = socket.create_connection(there)
    except OSError:  # nobody is there yet: the client tries again
        near.close()
        return
    far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in SILENT.items():
        if hasattr(socket, name):
            far.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    threading.Thread(target=_pass_on, args=(near, far), daemon=True).start()
    _pass_on(far, near, ended)


def _pass_on(source: socket.socket, sink: socket.socket, ended: Callable[[], None] = lambda: None) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(2**16):
            sink.sendall(data)
    ended()
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
