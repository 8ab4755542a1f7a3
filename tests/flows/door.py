"""A door before a real server: bytes pass both ways, until it is shut; then everybody is told 401 and put out."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

REFUSED: Final = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Door:
    """Listens on a free loopback port and connects to `port`."""

    def __init__(self, port: int) -> None:
        self._real = port
        self._shut = threading.Event()
        self._inside: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def shut(self) -> None:
        self._shut.set()
        for connection in self._inside:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.shut()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                guest, _ = self._listening.accept()
                if self._shut.is_set():
                    with guest:
                        guest.recv(1 << 16)
                        guest.sendall(REFUSED)
                    continue
                host = socket.create_connection(("127.0.0.1", self._real))
                self._inside += [guest, host]
                for here, there in ((guest, host), (host, guest)):
                    threading.Thread(target=_pump, args=(here, there), daemon=True).start()


def _pump(here: socket.socket, there: socket.socket) -> None:
    with suppress(OSError):
        while data := here.recv(1 << 16):
            there.sendall(data)
    for end in (here, there):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def door(port: int) -> Iterator[Door]:
    made = Door(port)
    try:
        yield made
    finally:
        made.close()
