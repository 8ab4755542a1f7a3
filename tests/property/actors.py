"""Actors for the model of the protocol: the engine's own code, in threads of which the test moves one at a time.

Every request to the store has two stops: before it happens, and after it happened while its answer is on the way.
Code between two stops runs alone, so linking an output is part of the step from an answer to the next request.
Only the toolchain and the encoder are stand-ins: registration, lock, ledger, `ClipJob` and `execute` are real.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypeVar
from unittest.mock import patch

from proxx.contracts.errors import StoreUnavailable
from proxx.contracts.fingerprint import digest_bytes
from proxx.contracts.job import JobContent, JobSpec, Toolchain, read_spec, seal
from proxx.engine import execute as engine
from proxx.engine.clip import ClipJob
from proxx.ffmpeg.encode_log import EncodeEvidence
from proxx.ffmpeg.installed import InstalledToolchain
from proxx.files.publish import Content, content_of
from proxx.files.transfer import Settle
from proxx.s3.incidents import IncidentJournal
from proxx.store.base import Store
from proxx.store.clip_log import store_clip_log
from tests.support import specs

Order: TypeAlias = Literal["go", "crash", "refuse", "lose", "signal"]
"""What happens at a stop: go on; crash: the process is gone; refuse: the request fails before it takes effect; lose:
its answer is lost after it took effect; signal: KeyboardInterrupt is raised and the actor may clean up."""
Answer: TypeAlias = bytes | tuple[str, ...] | None
A = TypeVar("A", bytes | None, tuple[str, ...])
STUCK: Final = 60.0  # seconds until an actor counts as stuck: it waits for something outside the model


class Crashed(BaseException):
    """The actor's process is gone. Python still unwinds its stack, but none of its requests reach the store."""


@dataclass(frozen=True)
class Stop:
    """Where an actor is stopped. phase: `asks` before the request, `answered` after it. request: of the store create,
    read, list, children; of object storage put, get, head, begin, part, complete, abort, delete.
    """

    phase: Literal["begins", "asks", "answered"]
    request: str = ""
    key: str = ""
    data: bytes = b""


class Actor(threading.Thread):
    """One process, moved from stop to stop. attempt: 0 for an operator. shade: selects the bytes it encodes."""

    def __init__(self, name: str, job_id: str, attempt: int = 0, shade: int = 0) -> None:
        super().__init__(name=name, daemon=True)
        self.job_id, self.attempt, self.shade = job_id, attempt, shade
        self.at: Stop | None = Stop("begins")  # None: it has ended
        self.outcome: object = None
        self.error: BaseException | None = None
        self.disturbed: set[Order] = set()
        self.verified: set[str] = set()
        self.story: Callable[[], object] = lambda: None
        self._order: Order = "go"
        self._baton, self._back = threading.Lock(), threading.Lock()
        self._baton.acquire()
        self._back.acquire()

    def move(self, order: Order = "go") -> None:
        """Lets the actor run to its next stop, or to its end."""
        self._order = order
        if order != "go":
            self.disturbed.add(order)
        if not self.is_alive():
            self.start()
        self._baton.release()
        if not self._back.acquire(timeout=STUCK):
            raise AssertionError(f"{self.name} waits at {self.at} for something outside the model")

    def stop_at(self, at: Stop) -> Order:
        """Called by the actor itself: waits for its next move and returns the order for the request."""
        if "crash" in self.disturbed:
            raise Crashed
        self.at = at
        self._back.release()
        return self._taken()

    def _taken(self) -> Order:
        self._baton.acquire()
        if self._order == "crash":
            raise Crashed
        if self._order == "signal":
            raise KeyboardInterrupt
        return self._order

    def run(self) -> None:
        try:
            self._taken()
            self.outcome = self.story()
        except BaseException as error:
            self.error = error
        self.at = None
        self._back.release()


class Door:
    """The store as one actor uses it: each request stops twice."""

    def __init__(self, inner: Store, actor: Actor, seen: Callable[[Actor, Stop, Answer], None]) -> None:
        self._inner, self._actor, self._seen = inner, actor, seen

    @property
    def uri(self) -> str:
        return self._inner.uri

    @property
    def journal(self) -> IncidentJournal:
        return self._inner.journal

    def create(self, key: str, data: bytes) -> bytes | None:
        return self._request(Stop("asks", "create", key, data), functools.partial(self._inner.create, key, data))

    def read(self, key: str) -> bytes | None:
        return self._request(Stop("asks", "read", key), functools.partial(self._inner.read, key))

    def list(self, folder: str) -> tuple[str, ...]:
        return self._request(Stop("asks", "list", folder), functools.partial(self._inner.list, folder))

    def walk(self, folder: str, after: str = "") -> Iterator[str]:
        return (key for key in self.list(folder) if key > after)

    def children(self, folder: str) -> tuple[str, ...]:
        return self._request(Stop("asks", "children", folder), functools.partial(self._inner.children, folder))

    def _request(self, stop: Stop, act: Callable[[], A]) -> A:
        before = self._actor.stop_at(stop)
        if before == "refuse":
            raise StoreUnavailable(message="the store cannot be reached")
        answer = act()
        self._seen(self._actor, stop, answer)
        after = self._actor.stop_at(replace(stop, phase="answered"))
        if "lose" in (before, after) or after == "refuse":
            raise StoreUnavailable(message="the answer was lost")
        return answer


def small_job(folder: Path, name: str, base: str, outputs: tuple[str, ...]) -> JobSpec:
    """A job whose sources are a few bytes each in `folder`, and whose outputs have these names below `base`."""
    clips = []
    for index, output in enumerate(outputs):
        source, data = folder / f"{name}{index}.mov", f"{name} {index}".encode()
        source.write_bytes(data)
        clip = specs.clip(index, str(source), f"{base}/{output}")
        file = clip.source.files[0].model_copy(update={"size": len(data), "digest": digest_bytes(data)})
        clips.append(clip.model_copy(update={"source": clip.source.model_copy(update={"files": (file,)})}))
    content = JobContent(
        schema_="proxx.job/1",
        name=name,
        profile=specs.profile(),
        toolchain=specs.toolchain(),
        clips=tuple(clips),
        left_out=(),
    )
    return seal(content)


def current_actor() -> Actor:
    """Returns the actor in whose thread this is called."""
    thread = threading.current_thread()
    assert isinstance(thread, Actor)
    return thread


def _require_toolchain(
    expected: Toolchain, _flags: tuple[str, ...], _launcher: tuple[str, ...] = ()
) -> InstalledToolchain:
    return InstalledToolchain(identity=expected, ffmpeg=Path("/no/ffmpeg"), ffprobe=Path("/no/ffprobe"))


def _encode(clip: ClipJob, _plan: object, _path: Path, settle: Settle) -> EncodeEvidence | None:
    """Writes a few bytes as the proxy. Another shade stands for an encoder that does not repeat its bytes."""
    clip._made.write_bytes(f"{clip.spec.name} {clip.output} {current_actor().shade}".encode())
    clip._encoder_log.write_bytes(b"log")
    clip.log = store_clip_log(clip._encoder_log, clip.index, clip.context.ledger)
    settle(clip.context.should_stop)
    return None


def _verify(clip: ClipJob, _encoded: object) -> Content:
    content = content_of(clip._made)
    current_actor().verified.add(content.sha256)
    return content


@contextmanager
def quick_media() -> Iterator[None]:
    """While the block runs, jobs need no toolchain and no ffmpeg, and each spec is parsed once."""
    with (
        patch.object(engine, "require_toolchain", _require_toolchain),
        patch.object(engine, "read_spec", functools.lru_cache(read_spec)),
        patch.object(ClipJob, "_encode", _encode),
        patch.object(ClipJob, "_verify", _verify),
    ):
        yield
