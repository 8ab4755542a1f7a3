"""A faulty proxy in front of an object store: it injects faults into chosen requests and passes on all others."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.objects.rules import (
    Action,
    Answer,
    Before,
    Cut,
    Drip,
    Garble,
    LoseAnswer,
    Request,
    Reset,
    ResetMidway,
    Rule,
    Stall,
    StallAnswer,
    StallMidway,
    Strip,
)
from tests.objects.wire import Body, Broken, Head, Line, body_of_answer, body_of_request, readable


class Proxy:
    """Listens at a port and passes requests on, each on a connection of its own."""

    def __init__(self, to: str, address: str = "127.0.0.1") -> None:
        target = urlsplit(to)
        assert target.hostname is not None and target.port is not None, to
        self._to = (target.hostname, target.port)
        self._address = address
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._requests: list[Request] = []
        self._clients: set[Line] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self.up()

    @property
    def url(self) -> str:
        return f"http://{self._address}:{self.port}"

    def on(
        self,
        action: Action,
        *,
        method: str | None = None,
        path: str | None = None,
        query: str | None = None,
        when: Callable[[Request], bool] = lambda _: True,
        nth: int = 1,
        times: int | None = 1,
    ) -> Rule:
        """Adds a rule. path: a regular expression found in "/bucket/key". query: a parameter that must be present."""
        rule = Rule(action, method, path, query, when, nth, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def requests(self, method: str | None = None, path: str = "") -> list[Request]:
        """Returns the requests that arrived so far, in order. path: a regular expression."""
        with self._lock:
            requests = list(self._requests)
        return [one for one in requests if method in (None, one.method) and re.search(path, one.path)]

    def forget(self) -> None:
        """Removes all rules and recorded requests. Stalled requests continue."""
        with self._lock:
            rules, self._rules, self._requests = self._rules, [], []
        for rule in rules:
            rule.release()

    def up(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self._address, self.port))
        listener.listen(128)
        self.port, self._listener = int(listener.getsockname()[1]), listener
        threading.Thread(target=self._listen, args=(listener,), daemon=True).start()

    def down(self) -> None:
        """Accepts no connections and drops the existing ones."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the accepting thread
            listener.close()
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            with suppress(OSError):
                client.socket.shutdown(socket.SHUT_RDWR)  # its thread closes it

    def _listen(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connected, _ = listener.accept()
                client = Line(connected)
                with self._lock:
                    if self._listener is not listener:
                        client.reset()
                        return
                    self._clients.add(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: Line) -> None:
        try:
            keeps = True
            while keeps and (head := client.head()) is not None:
                request = _request(head)
                rule = self._note(request)
                keeps = self._exchange(client, head, request, rule)
            client.close()
        except (OSError, Broken):
            client.reset()
        finally:
            with self._lock:
                self._clients.discard(client)

    def _note(self, request: Request) -> Rule | None:
        """Records a request and returns the first rule that acts on it. Every rule counts what fits it."""
        with self._lock:
            self._requests.append(request)
            acting = [rule for rule in self._rules if rule.fits(request) and rule.acts()]
        if acting:
            request.fault = type(acting[0].action).__name__
        return acting[0] if acting else None

    def _exchange(self, client: Line, head: Head, request: Request, rule: Rule | None) -> bool:
        """Handles one request. Returns whether the connection can be used for another."""
        body = body_of_request(head)
        match rule:
            case Rule(action=Reset()):
                rule.act()
                raise Broken
            case Rule(action=Answer(status, code)):
                rule.act()
                return _answer_itself(client, head, body, request, status, code)
            case Rule(action=Stall(late)):
                rule.hold()
                if client.gone and not late:
                    raise Broken
                if client.gone:
                    client.hold(body_of_request(head))
            case Rule(action=Before(do)):
                do()
                rule.act()
            case Rule(action=Strip(name)):
                head = _without(head, name)
                rule.act()
        server = Line(socket.create_connection(self._to))
        try:
            server.send(head.raw)
            answer, may_send = _ask(client, server, head, body, rule)
            request.status = answer.status
            endless = _pass_on(client, server, answer, request, rule)
            if not body.done and may_send:
                client.drain(body)  # the client reads the answer only after it has sent everything
            return body.done and not (endless or answer.closes or head.closes)
        except (OSError, Broken):
            server.reset()
            raise
        finally:
            server.close()


def _request(head: Head) -> Request:
    method, target, _ = head.first.split()
    parts = urlsplit(target)
    size = head.headers.get("content-length")
    return Request(
        method,
        unquote(parts.path),
        dict(parse_qsl(parts.query, keep_blank_values=True)),
        {name: value for name, value in head.headers.items() if name.startswith("if-")},
        None if size is None else int(size),
    )


def _without(head: Head, name: str) -> Head:
    lines = [line for line in head.raw.split(b"\r\n") if line.partition(b":")[0].lower() != name.encode()]
    return replace(head, raw=b"\r\n".join(lines))


def _answer_itself(client: Line, head: Head, body: Body, request: Request, status: int, code: str) -> bool:
    request.status = status
    text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    if head.expects:
        closing = "Connection: close\r\n"  # the body will not be sent
    else:
        closing = ""
        client.drain(body)
    start = (
        f"HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nContent-Length: {len(text)}\r\n{closing}\r\n"
    )
    client.send((start + ("" if request.method == "HEAD" else text)).encode())
    return not closing and not head.closes


def _ask(client: Line, server: Line, head: Head, body: Body, rule: Rule | None) -> tuple[Head, bool]:
    """Passes the body on until the server answers. Returns the answer and whether the client may send more."""
    limit = rule.action.after if rule and isinstance(rule.action, ResetMidway | StallMidway) else None
    passed, may_send, left = 0, not head.expects, b""
    while True:
        ready = readable(server, *(() if left or body.done else (client,)), wait=not left)
        if server in ready or readable(server):
            answer = server.head()
            if answer is None:
                raise Broken
            if answer.status >= 200:
                return answer, may_send
            with suppress(OSError):  # the client is gone; reading from it will show that
                client.send(answer.raw)
            may_send = True
            continue
        if left:  # a 100 Continue interrupted this piece; moto sends it twice
            left = server.send_until_answered(left)
            continue
        piece = client.some(body)
        if not piece:
            raise Broken
        may_send = True  # a client that waited long enough sends without a 100 Continue
        if rule is not None and limit is not None and passed + len(piece) >= limit:
            unsent = server.send_until_answered(piece[: limit - passed])
            if isinstance(rule.action, ResetMidway):
                rule.act()
                raise Broken
            rule.hold()
            if client.gone:
                raise Broken
            piece, passed, limit = unsent + piece[limit - passed :], limit, None
        if rule is not None and isinstance(rule.action, Garble) and not passed:
            piece = bytes((piece[0] ^ 1,)) + piece[1:]
            rule.act()
        left = server.send_until_answered(piece)
        passed += len(piece)


def _pass_on(client: Line, server: Line, answer: Head, request: Request, rule: Rule | None) -> bool:
    """Passes the answer on, with the rule's fault. Returns whether its body lasts until the connection ends."""
    body = body_of_answer(request.method, answer)
    action = rule.action if rule else None
    if rule is not None and isinstance(action, StallAnswer):
        rule.hold()
    elif rule is not None and isinstance(action, LoseAnswer):
        server.drain(body)
        rule.act()
        raise Broken
    send = _dripping(client, action.pause) if isinstance(action, Drip) else client.send
    send(answer.raw)
    passed = 0
    while not body.done:
        piece = server.some(body)
        if not piece:
            if body.endless:
                break
            raise Broken
        if isinstance(action, Cut) and rule is not None and passed + len(piece) > action.after:
            send(piece[: action.after - passed])
            rule.act()
            client.close()
            raise Broken
        send(piece)
        passed += len(piece)
    if rule is not None and isinstance(action, Drip):
        rule.act()
    return body.endless


def _dripping(client: Line, pause: float) -> Callable[[bytes], None]:
    def send(data: bytes) -> None:
        for byte in data:
            client.send(bytes((byte,)))
            time.sleep(pause)

    return send


@contextmanager
def proxying(to: str, address: str = "127.0.0.1") -> Iterator[Proxy]:
    """Runs a proxy to the URL while the block runs."""
    proxy = Proxy(to, address)
    try:
        yield proxy
    finally:
        proxy.forget()
        proxy.down()
