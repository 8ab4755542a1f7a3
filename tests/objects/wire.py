"""HTTP/1.1 as it goes over a line: heads, and where the bodies between them end."""

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
    """The line ended where a message had not."""


@dataclass(frozen=True)
class Head:
    """The first line and the headers of a message, and all of it as it came. Names are in lower case."""

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
        """The client waits for leave before it sends the body."""
        return self.headers.get("expect", "").lower() == "100-continue"


class Body:
    """Tells how much of what arrives belongs to a body. size: bytes, or None for all until the line ends."""

    def __init__(self, size: int | None, *, chunked: bool = False) -> None:
        self.chunked = chunked
        self.endless = size is None and not chunked
        self.done = size == 0 and not chunked
        self._left = size or 0
        self._line = b""
        self._trailers = False

    def take(self, data: bytes) -> int:
        """How many of these bytes are the body's; it may be done with them."""
        if self.endless:
            return len(data)
        at = 0
        while at < len(data) and not self.done:
            at += self._take_line(data, at) if self.chunked and not self._left else self._take_bytes(len(data) - at)
        return at

    def _take_bytes(self, there: int) -> int:
        taken = min(self._left, there)
        self._left -= taken
        self.done = not self.chunked and not self._left
        return taken

    def _take_line(self, data: bytes, at: int) -> int:
        """A chunk's size, or a line after the last chunk."""
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
                self._left = size + 2 if size else 0  # with the end of line after it
        return len(piece)


def body_of_request(head: Head) -> Body:
    return Body(int(head.headers.get("content-length", "0")), chunked=head.chunked)


def body_of_answer(method: str, head: Head) -> Body:
    if method == "HEAD" or head.status in _BODILESS:
        return Body(0)
    size = head.headers.get("content-length")
    return Body(None if size is None else int(size), chunked=head.chunked)


class Line:
    """A connected socket, with what arrived and nobody has taken."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.left = b""
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def head(self) -> Head | None:
        """The next message's, or None where the line ended between messages."""
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
        """The next bytes of this body; none only where the line ended."""
        data = self.left or self.socket.recv(PIECE)
        mine = body.take(data)
        self.left = data[mine:]
        return data[:mine]

    def hold(self, body: Body) -> None:
        """Take a whole body into memory and leave it to be taken: it outlives the line it came on."""
        pieces = []
        while not body.done and (piece := self.some(body)):
            pieces.append(piece)
        self.left = b"".join(pieces) + self.left

    def drain(self, body: Body) -> None:
        """Take the rest of a body and forget it."""
        while not body.done and self.some(body):
            pass

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_unless_told(self, data: bytes) -> bytes:
        """Send, but stop as soon as something arrives: who answers early may read no more. What is left to send."""
        while data and not readable(self):
            poll = select.poll()
            poll.register(self.socket, select.POLLIN | select.POLLOUT)
            poll.poll()
            with suppress(BlockingIOError):
                data = data[self.socket.send(data, socket.MSG_DONTWAIT) :]
        return data

    @property
    def gone(self) -> bool:
        """Whether the other end has closed, also where what it sent before has not been taken yet."""
        poll = select.poll()
        poll.register(self.socket, select.POLLRDHUP)
        return bool(poll.poll(0))

    def close(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def reset(self) -> None:
        """Close so that the other end sees a reset, not an end."""
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def readable(*lines: Line, wait: bool = False) -> list[Line]:
    """Those with something to read: an end too. wait: until there is one."""
    if found := [line for line in lines if line.left]:
        return found
    poll = select.poll()
    for line in lines:
        poll.register(line.socket, select.POLLIN)
    ready = {number for number, _ in poll.poll(None if wait else 0)}
    return [line for line in lines if line.socket.fileno() in ready]
