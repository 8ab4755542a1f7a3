"""HTTP/1.1 on a connection: the heads of messages, and where their bodies end."""

from __future__ import annotations

import select
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

PIECE: Final = 65536
LONGEST_HEAD: Final = 1 << 20
_BODILESS: Final = (204, 304)


class Broken(Exception):
    """The connection ended in the middle of a message."""


@dataclass(frozen=True)
class Head:
    """The first line and the headers of a message, with names in lower case. raw: the bytes as received."""

    raw: bytes
    first: str
    headers: dict[str, str]

    @property
    def status(self) -> int:
        return int(self.first.split()[1])

    @property
    def chunked(self) -> bool:
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"

    @property
    def expects(self) -> bool:
        """Returns whether the client waits for a 100 Continue before it sends the body."""
        return self.headers.get("expect", "").lower() == "100-continue"


class Body:
    """Finds the end of a body. size: in bytes, None if the body lasts until the connection ends."""

    def __init__(self, size: int | None, *, chunked: bool = False) -> None:
        self.chunked = chunked
        self.endless = size is None and not chunked
        self.done = size == 0 and not chunked
        self._left = size or 0
        self._line = b""
        self._trailers = False

    def take(self, data: bytes) -> int:
        """Returns how many of these bytes belong to the body. It may be `done` with them."""
        if self.endless:
            return len(data)
        at = 0
        while at < len(data) and not self.done:
            at += self._take_line(data, at) if self.chunked and not self._left else self._take_bytes(len(data) - at)
        return at

    def _take_bytes(self, available: int) -> int:
        taken = min(self._left, available)
        self._left -= taken
        self.done = not self.chunked and not self._left
        return taken

    def _take_line(self, data: bytes, at: int) -> int:
        """Takes the size of a chunk, or a line after the last chunk."""
        end = data.find(b"\n", at)
        piece = data[at : end + 1] if end >= 0 else data[at:]
        self._line += piece
        if end >= 0:
            line, self._line = self._line.strip(), b""
            if self._trailers:
                self.done = not line
            else:
                size = int(line.split(b";")[0], 16)
                self._trailers = size == 0
                self._left = size + 2 if size else 0  # includes the end of line after the chunk
        return len(piece)


def body_of_request(head: Head) -> Body:
    return Body(int(head.headers.get("content-length", "0")), chunked=head.chunked)


def body_of_answer(method: str, head: Head) -> Body:
    if method == "HEAD" or head.status in _BODILESS:
        return Body(0)
    size = head.headers.get("content-length")
    return Body(None if size is None else int(size), chunked=head.chunked)


class Line:
    """A connected socket, with the received bytes that were not taken yet."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.left = b""
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def head(self) -> Head | None:
        """Returns the head of the next message, None if the connection ended between messages."""
        while b"\r\n\r\n" not in self.left:
            data = self.socket.recv(PIECE)
            if not data:
                if self.left:
                    raise Broken
                return None
            self.left += data
            if len(self.left) > LONGEST_HEAD:
                raise Broken
        raw, self.left = self.left.split(b"\r\n\r\n", 1)
        first, *lines = raw.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Head(raw + b"\r\n\r\n", first, headers)

    def some(self, body: Body) -> bytes:
        """Returns the next bytes of this body, empty only if the connection ended."""
        data = self.left or self.socket.recv(PIECE)
        mine = body.take(data)
        self.left = data[mine:]
        return data[:mine]

    def hold(self, body: Body) -> None:
        """Receives a whole body into memory, from where it can still be taken after the connection has ended."""
        pieces = []
        while not body.done and (piece := self.some(body)):
            pieces.append(piece)
        self.left = b"".join(pieces) + self.left

    def drain(self, body: Body) -> None:
        """Discards the rest of a body."""
        while not body.done and self.some(body):
            pass

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_until_answered(self, data: bytes) -> bytes:
        """Sends until something arrives, because a peer that answers early may stop reading. Returns the rest."""
        while data and not readable(self):
            poll = select.poll()
            poll.register(self.socket, select.POLLIN | select.POLLOUT)
            poll.poll()
            with suppress(BlockingIOError):
                data = data[self.socket.send(data, socket.MSG_DONTWAIT) :]
        return data

    @property
    def gone(self) -> bool:
        """Returns whether the other end has closed, even if bytes it sent before were not taken yet."""
        poll = select.poll()
        poll.register(self.socket, select.POLLRDHUP)
        return bool(poll.poll(0))

    def close(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def reset(self) -> None:
        """Closes so that the other end sees a reset."""
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def readable(*lines: Line, wait: bool = False) -> list[Line]:
    """Returns the connections with something to read, or that have ended. wait: until there is one."""
    if pending := [line for line in lines if line.left]:
        return pending
    poll = select.poll()
    for line in lines:
        poll.register(line.socket, select.POLLIN)
    ready = {number for number, _ in poll.poll(None if wait else 0)}
    return [line for line in lines if line.socket.fileno() in ready]
