"""`python -m tests.objects.motoserver ADDRESS PORT`: moto, with one write at a time.

moto checks whether a key is taken and then writes, so of twenty simultaneous writers several win. S3 lets one win;
therefore every request that changes something waits for its turn here.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple

READING: Final = ("GET", "HEAD")


class InTurn:
    """The application. The body of a request is read before its turn, so a slow sender delays no one else."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self._turn = threading.Lock()

    def __call__(self, asked: dict[str, Any], answer: Callable[..., Any]) -> Iterable[bytes]:
        if asked["REQUEST_METHOD"] in READING:
            return self._app(asked, answer)
        size = int(asked.get("CONTENT_LENGTH") or 0)
        body = asked["wsgi.input"].read(size)
        if len(body) < size:
            raise ConnectionError("the request was cut short")
        asked["wsgi.input"] = io.BytesIO(body)
        with self._turn:
            return self._app(asked, answer)


def main(address: str, port: int) -> None:
    app = DomainDispatcherApplication(create_backend_app)
    run_simple(address, port, InTurn(app), threaded=True, request_handler=WSGIRequestHandler)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
