"""Published proxies against what the job wrote down: each is there, has the recorded bytes, and decodes whole.

What was recorded comes from the events alone, so it is known also of an attempt whose worker was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxx.contracts.error_bases import Problem
from proxx.contracts.errors import DiskFull, Interrupted, SourceMissing, SourceUnreadable, VerifyMismatch
from proxx.contracts.fingerprint import digest_stream
from proxx.contracts.job import JobSpec
from proxx.ffmpeg.process import run_encoder
from proxx.ffmpeg.progress import EncodeProgress
from proxx.ffmpeg.toolchain import InstalledToolchain
from proxx.files.download import SPARE, copy_object
from proxx.files.places import Places, leads_out
from proxx.files.roots import InBucket, OnDisk, require_places_here
from proxx.files.workdir import free_bytes, working_in
from proxx.s3.faults import StorageFault
from proxx.store.attempts import read_attempts
from proxx.store.base import Store

MISSING: Final = "PROXY_MISSING"
CHANGED: Final = "PROXY_CHANGED"
UNREADABLE: Final = "PROXY_UNREADABLE"
UNDECODABLE: Final = "PROXY_UNDECODABLE"
NOT_MADE: Final = "NOT_MADE"
RECORDS_DIFFER: Final = "RECORDS_DIFFER"
"""What a proxy can have against it; codes of problems, not of failures."""


@dataclass(frozen=True, kw_only=True)
class RecordedProxy:
    """What the job wrote down of a clip it made. attempt: the latest that made it. sha256: `sha256:hex`.

    differing: attempts that recorded other bytes, which no job should ever do.
    """

    attempt: int
    sha256: str
    frames: int
    differing: tuple[int, ...] = ()


def records_differ(attempt: int | None, differing: tuple[int, ...]) -> str:
    """The sentence about a clip of which attempts recorded different bytes."""
    return f"attempt {attempt} recorded other bytes than attempt {', '.join(map(str, differing))}."


@dataclass(frozen=True, kw_only=True)
class VerifiedProxy:
    """One proxy as it is. problem: None where it is what was recorded."""

    index: int
    output: str
    record: RecordedProxy | None
    problem: Problem | None


@dataclass(frozen=True, kw_only=True)
class VerifyProgress:
    """Progress: `done` of `size` bytes of a proxy hashed, or frames of it decoded."""

    index: int
    stage: str
    done: int
    size: int


def records(store: Store, job_id: str) -> Mapping[int, RecordedProxy]:
    """By clip, what the job's attempts recorded as made. Raises StoreDamaged where the events do not tell."""
    found: dict[int, RecordedProxy] = {}
    for attempt in read_attempts(store, job_id):
        _ = attempt.state  # a damaged ledger is no ground to judge on
        for event in attempt.events:
            match event.type, event.data:
                case "clip.completed", {"clip": int(clip), "sha256": str(sha256), "frames": int(frames)}:
                    before = found.get(clip)
                    other = (before.attempt,) if before and before.sha256 != sha256 else ()
                    found[clip] = RecordedProxy(
                        attempt=attempt.number,
                        sha256=sha256,
                        frames=frames,
                        differing=(*(before.differing if before else ()), *other),
                    )
                case _:
                    pass
    return found


def verify_proxies(
    spec: JobSpec,
    known: Mapping[int, RecordedProxy],
    installed: InstalledToolchain,
    work: Path,
    *,
    places: Places | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[VerifyProgress], None] = lambda _: None,
) -> tuple[VerifiedProxy, ...]:
    """Every clip's proxy, looked at in order. work: a folder for ffmpeg's words, and for copies from object storage.

    Raises Interrupted, PlaceUnreachable; DiskFull, WorkUnusable: a fault of `work` is none of a proxy.
    """
    reach = places or Places()
    require_places_here(spec, reach.roots)
    return tuple(
        _Proxy(spec, index, known.get(index), installed, work, reach, should_stop, on_progress).look()
        for index in range(len(spec.clips))
    )


def verification_failure(rechecked: tuple[VerifiedProxy, ...]) -> VerifyMismatch | None:
    """The failure of a verification that found problems, all of them."""
    problems = tuple(one.problem for one in rechecked if one.problem is not None)
    if not problems:
        return None
    return VerifyMismatch(message=f"{len(problems)} of {len(rechecked)} proxies are not right.", problems=problems)


@dataclass(frozen=True)
class _Proxy:
    spec: JobSpec
    index: int
    record: RecordedProxy | None
    installed: InstalledToolchain
    work: Path
    places: Places
    should_stop: Callable[[], bool]
    on_progress: Callable[[VerifyProgress], None]

    @property
    def output(self) -> str:
        return self.spec.clips[self.index].outputs[0].uri

    def look(self) -> VerifiedProxy:
        return VerifiedProxy(index=self.index, output=self.output, record=self.record, problem=self._problem())

    def _problem(self) -> Problem | None:
        if self.record is None:
            return self._said(NOT_MADE, "the job has not made this proxy.")
        if self.record.differing:
            return self._said(RECORDS_DIFFER, records_differ(self.record.attempt, self.record.differing))
        try:
            with self._at_hand() as (path, found):
                if found != self.record.sha256:
                    return self._said(CHANGED, f"the proxy is {found}, the job recorded {self.record.sha256}.")
                fault = self._decode(path, self.record.frames)
                return self._said(UNDECODABLE, fault) if fault else None
        except (FileNotFoundError, SourceMissing):
            return self._said(MISSING, "the proxy is not there.")
        except SourceUnreadable as why:
            return self._said(UNREADABLE, f"the proxy cannot be read: {why.detail}.")
        except OSError as why:
            return self._said(UNREADABLE, f"the proxy cannot be read: {why.strerror or why}.")

    def _said(self, code: str, message: str) -> Problem:
        return Problem(f"clips[{self.index}] {self.output}", code, message)

    @contextmanager
    def _at_hand(self) -> Iterator[tuple[Path, str]]:
        """The proxy as a file while the block runs, and its sha256."""
        match self.places.spot(self.output):
            case OnDisk(path=path) as spot:
                if leads_out(spot):
                    raise SourceUnreadable(message="unread", detail="a link leads it out of its root")
                yield path, self._digest(path)
            case InBucket() as spot:
                copy = self.work / f"{self.index:05d}.proxy"
                try:
                    with working_in(self.work):
                        size = self._size_with_room(spot)
                        digest = copy_object(
                            self.places, spot, copy, self.should_stop, lambda done: self._hashed(done, size)
                        )
                    yield copy, digest
                finally:
                    copy.unlink(missing_ok=True)

    def _size_with_room(self, spot: InBucket) -> int:
        """Bytes of the object, for which there is room; 0 where it is not there, which the read tells better."""
        try:
            found = self.places.bucket(spot).head(spot.key)
        except StorageFault as fault:
            raise SourceUnreadable(message="unread", detail=fault.detail) from fault
        if found is None:
            return 0
        size, room = found.size, free_bytes(self.work)
        if room < size + SPARE:
            raise DiskFull(
                message="There is no space for a copy of a proxy.",
                clip=self.index,
                stage="verify",
                detail=f"{self.output} has {size} bytes, {room} are free: {self.work}",
            )
        return size

    def _hashed(self, done: int, size: int) -> None:
        self.on_progress(VerifyProgress(index=self.index, stage="hash", done=done, size=size))

    def _digest(self, path: Path) -> str:
        size = path.stat().st_size

        def on_read(done: int) -> None:
            if self.should_stop():
                raise Interrupted(message="The verification was stopped.", clip=self.index, stage="verify")
            self._hashed(done, size)

        with path.open("rb") as stream:
            return digest_stream(stream, on_read).digest

    def _decode(self, path: Path, frames: int) -> str | None:
        """Why a decode of picture and sound from end to end did not succeed, None where it did."""
        last = 0

        def progress(step: EncodeProgress) -> None:
            nonlocal last
            last = step.frame
            self.on_progress(VerifyProgress(index=self.index, stage="decode", done=step.frame, size=frames))

        words = self.work / f"{self.index:05d}.log"
        argv = (*self.installed.ffmpeg_argv, *_DECODE_BEFORE, "-i", f"file:{path}", *_DECODE_AFTER)
        with working_in(self.work):
            ended = run_encoder(argv, cwd=self.work, log=words, on_progress=progress, should_stop=self.should_stop)
        if ended.ending == "stopped":
            raise Interrupted(message="The verification was stopped.", clip=self.index, stage="verify")
        words.unlink()
        said = ended.stderr.decode("utf-8", "replace").strip()
        if ended.exit != 0 or said:
            return f"the proxy does not decode whole: {said.splitlines()[0] if said else f'exit {ended.exit}'}."
        if last != frames:
            return f"the proxy decodes to {last} frames, the job recorded {frames}."
        return None


_DECODE_BEFORE: Final = (
    *("-nostdin", "-hide_banner", "-nostats", "-loglevel", "error", "-progress", "pipe:1", "-xerror"),
    *("-err_detect", "+crccheck+bitstream+buffer", "-protocol_whitelist", "file", "-guess_layout_max", "0"),
)
_DECODE_AFTER: Final = ("-map", "0:v", "-map", "0:a?", "-fps_mode", "passthrough", "-f", "null", "-")
