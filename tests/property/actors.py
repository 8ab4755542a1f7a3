"""Actors for the protocol's model: the engine's own code in threads of which one at a time goes on, when it is told.

Every request to the store is two stops: before it happens, and after it happened while its answer is on the way.
What lies between two stops goes on alone, so linking an output is one step from an answer to the next request.
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
from proxx.ffmpeg.toolchain import InstalledToolchain
from proxx.files.publish import Content, content_of
from proxx.files.transfer import Settle
from proxx.s3.incidents import IncidentJournal
from proxx.store.base import Store
from proxx.store.clip_log import store_clip_log
from tests.support import specs

Order: TypeAlias = Literal["go", "crash", "refuse", "lose", "signal"]
"""What happens at a stop: it goes on; its process is gone; the request fails before, or after it took effect (lose);
a signal's exception comes, and the actor may clean up."""
Answer: TypeAlias = bytes | tuple[str, ...] | None
A = TypeVar("A", bytes | None, tuple[str, ...])
STUCK: Final = 60.0  # seconds: an actor that waits for something the model does not give it


class Crashed(BaseException):
    """The actor's process is gone. Python still unwinds it; no request of it reaches the store any more."""


@dataclass(frozen=True)
class Stop:
    """Where an actor stands. phase: `asks` before the request, `told` when it has happened. request: of the store
    create, read, list, children; of object storage put, get, head, begin, part, complete, abort, delete.
    """

    phase: Literal["begins", "asks", "told"]
    request: str = ""
    key: str = ""
    data: bytes = b""


class Actor(threading.Thread):
    """One process: its story is told a stop at a time. attempt: 0 for an operator; shade: which bytes it makes."""

    def __init__(self, name: str, job_id: str, attempt: int = 0, shade: int = 0) -> None:
        super().__init__(name=name, daemon=True)
        self.job_id, self.attempt, self.shade = job_id, attempt, shade
        self.at: Stop | None = Stop("begins")  # None: its story has ended
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
        """Let it go on to its next stop, or its end."""
        self._order = order
        if order != "go":
            self.disturbed.add(order)
        if not self.is_alive():
            self.start()
        self._baton.release()
        if not self._back.acquire(timeout=STUCK):
            raise AssertionError(f"{self.name} waits at {self.at} for what no other actor holds")

    def stop_at(self, at: Stop) -> Order:
        """Called by the actor itself: wait for the baton; returns what the request is to become."""
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
        except BaseException as why:
            self.error = why
        self.at = None
        self._back.release()


class Door:
    """The store as one actor reaches it."""

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
            raise StoreUnavailable(message="the store is not there")
        answer = act()
        self._seen(self._actor, stop, answer)
        after = self._actor.stop_at(replace(stop, phase="told"))
        if "lose" in (before, after) or after == "refuse":
            raise StoreUnavailable(message="the answer was lost")
        return answer


def small_job(folder: Path, name: str, base: str, outputs: tuple[str, ...]) -> JobSpec:
    """A job whose sources are a few bytes each in `folder`, and whose outputs have these names below `base`."""
    clips = []
    for index, output in enumerate(outputs):
        source, words = folder / f"{name}{index}.mov", f"{name} {index}".encode()
        source.write_bytes(words)
        clip = specs.clip(index, str(source), f"{base}/{output}")
        file = clip.source.files[0].model_copy(update={"size": len(words), "digest": digest_bytes(words)})
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


def whoever() -> Actor:
    """The actor that asks."""
    me = threading.current_thread()
    assert isinstance(me, Actor)
    return me


def _admit(wanted: Toolchain, _flags: tuple[str, ...], _launcher: tuple[str, ...] = ()) -> InstalledToolchain:
    return InstalledToolchain(identity=wanted, ffmpeg=Path("/no/ffmpeg"), ffprobe=Path("/no/ffprobe"))


def _encode(clip: ClipJob, _todo: object, _path: Path, settle: Settle) -> EncodeEvidence | None:
    """A few bytes for the clip; another shade is what an encoder that cannot repeat itself would make."""
    clip._made.write_bytes(f"{clip.spec.name} {clip.output} {whoever().shade}".encode())
    clip._words.write_bytes(b"words")
    clip.log = store_clip_log(clip._words, clip.index, clip.bench.ledger)
    settle(clip.bench.should_stop)
    return None


def _verify(clip: ClipJob, _encoded: object) -> Content:
    content = content_of(clip._made)
    whoever().verified.add(content.sha256)
    return content


@contextmanager
def quick_media() -> Iterator[None]:
    """While the block runs jobs are made of nothing: no toolchain, no ffmpeg; a spec that was read is remembered."""
    with (
        patch.object(engine, "require_toolchain", _admit),
        patch.object(engine, "read_spec", functools.lru_cache(read_spec)),
        patch.object(ClipJob, "_encode", _encode),
        patch.object(ClipJob, "_verify", _verify),
    ):
        yield
