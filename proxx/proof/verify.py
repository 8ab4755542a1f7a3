"""Verifies published proxies: each exists, has the bytes that the job recorded, and decodes from end to end.

The records are read from the events alone, so they include those of an attempt whose worker was killed.
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
from proxx.ffmpeg.installed import InstalledToolchain
from proxx.ffmpeg.process import run_encoder
from proxx.ffmpeg.progress import EncodeProgress
from proxx.files.download import SPARE, copy_object
from proxx.files.places import Places, leads_out
from proxx.files.roots import InBucket, OnDisk, require_places_here
from proxx.files.workdir import free_bytes, working_in
from proxx.s3.faults import StorageFault
from proxx.store.attempts import read_attempts
from proxx.store.base import Store

# Codes of problems, not of failures.
PROXY_MISSING: Final = "PROXY_MISSING"
PROXY_CHANGED: Final = "PROXY_CHANGED"
PROXY_UNREADABLE: Final = "PROXY_UNREADABLE"
PROXY_UNDECODABLE: Final = "PROXY_UNDECODABLE"
NOT_MADE: Final = "NOT_MADE"
RECORDS_DIFFER: Final = "RECORDS_DIFFER"

_MOVE_AWAY: Final = "Move the file away and run the next attempt."
_REMEDIES: Final = {
    PROXY_MISSING: "Run the next attempt.",
    PROXY_CHANGED: _MOVE_AWAY,
    PROXY_UNREADABLE: "Make the file readable, or move it away and run the next attempt.",
    PROXY_UNDECODABLE: _MOVE_AWAY,
    NOT_MADE: "See `proxx status`.",
    RECORDS_DIFFER: "Keep the file and report this with the output of `proxx history`.",
}


@dataclass(frozen=True, kw_only=True)
class RecordedProxy:
    """The job's record of a proxy. attempt: the latest that made it. sha256: `sha256:hex`.

    differing: earlier attempts that recorded other bytes, which must never happen.
    """

    attempt: int
    sha256: str
    frames: int
    differing: tuple[int, ...] = ()


def records_differ(attempt: int | None, differing: tuple[int, ...]) -> str:
    """Returns the message about a clip for which attempts recorded different bytes."""
    return f"Attempt {attempt} recorded other bytes than attempt {', '.join(map(str, differing))}."


def clip_problem(index: int, uri: str, code: str, message: str, remedy: str = "") -> Problem:
    """Returns a problem of one clip. uri: the source or the proxy that the problem is about."""
    return Problem(f"clips[{index}] {uri}", code, message, remedy)


@dataclass(frozen=True, kw_only=True)
class VerifiedProxy:
    """The result for one proxy. record: None if no attempt made it. problem: None if the proxy is as recorded."""

    index: int
    output: str
    record: RecordedProxy | None
    problem: Problem | None


@dataclass(frozen=True, kw_only=True)
class VerifyProgress:
    """Progress of one proxy: `done` of `size`, in bytes if the stage is `hash`, in frames if it is `decode`."""

    index: int
    stage: str
    done: int
    size: int


def records(store: Store, job_id: str) -> Mapping[int, RecordedProxy]:
    """Returns the records of all proxies that the job's attempts made, by clip index.

    Raises StoreDamaged if events are missing or cannot be read.
    """
    recorded: dict[int, RecordedProxy] = {}
    for attempt in read_attempts(store, job_id):
        _ = attempt.state  # raises StoreDamaged: an incomplete ledger proves nothing
        for event in attempt.events:
            match event.type, event.data:
                case "clip.completed", {"clip": int(clip), "sha256": str(sha256), "frames": int(frames)}:
                    previous = recorded.get(clip)
                    newly = (previous.attempt,) if previous and previous.sha256 != sha256 else ()
                    recorded[clip] = RecordedProxy(
                        attempt=attempt.number,
                        sha256=sha256,
                        frames=frames,
                        differing=(*(previous.differing if previous else ()), *newly),
                    )
                case _:
                    pass
    return recorded


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
    """Verifies the proxy of every clip, in order.

    known: the `records` of the job. work: a folder for ffmpeg's output and for copies from object storage.
    Raises Interrupted if stopped, PlaceUnreachable if the spec names places that this machine does not have, and
    DiskFull or WorkUnusable if `work` cannot be used, which says nothing about a proxy.
    """
    reachable = places or Places()
    require_places_here(spec, reachable.roots)
    return tuple(
        _ProxyCheck(spec, index, known.get(index), installed, work, reachable, should_stop, on_progress).run()
        for index in range(len(spec.clips))
    )


def verification_failure(verified: tuple[VerifiedProxy, ...]) -> VerifyMismatch | None:
    """Returns the failure that lists every problem of a verification, or None without problems."""
    problems = tuple(proxy.problem for proxy in verified if proxy.problem is not None)
    if not problems:
        return None
    message = f"{len(problems)} of {len(verified)} proxies failed the verification."
    codes = {problem.code for problem in problems}
    if codes == {NOT_MADE}:
        remedy = "The job has not made these proxies yet: see `proxx status`."
    elif codes <= {NOT_MADE, PROXY_MISSING}:
        remedy = "The proxies listed do not exist: run the next attempt."
    else:
        remedy = VerifyMismatch.remedy
    return VerifyMismatch(message=message, problems=problems, remedy=remedy)


@dataclass(frozen=True)
class _ProxyCheck:
    """The verification of one proxy."""

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

    def run(self) -> VerifiedProxy:
        return VerifiedProxy(index=self.index, output=self.output, record=self.record, problem=self._find_problem())

    def _find_problem(self) -> Problem | None:
        if self.record is None:
            return self._problem(NOT_MADE, "The job has not made this proxy yet.")
        if self.record.differing:
            return self._problem(RECORDS_DIFFER, records_differ(self.record.attempt, self.record.differing))
        try:
            with self._local_file() as (path, digest):
                if digest != self.record.sha256:
                    message = f"The proxy's digest is {digest}, the job recorded {self.record.sha256}."
                    return self._problem(PROXY_CHANGED, message)
                fault = self._decode_fault(path, self.record.frames)
                return self._problem(PROXY_UNDECODABLE, fault) if fault else None
        except (FileNotFoundError, SourceMissing):
            return self._problem(PROXY_MISSING, "The proxy does not exist.")
        except SourceUnreadable as error:
            return self._problem(PROXY_UNREADABLE, f"The proxy cannot be read: {error.detail}.")
        except OSError as error:
            return self._problem(PROXY_UNREADABLE, f"The proxy cannot be read: {error.strerror or error}.")

    def _problem(self, code: str, message: str) -> Problem:
        return clip_problem(self.index, self.output, code, message, _REMEDIES[code])

    @contextmanager
    def _local_file(self) -> Iterator[tuple[Path, str]]:
        """Yields a file with the proxy's bytes, and its sha256; a copy is removed afterwards."""
        match self.places.spot(self.output):
            case OnDisk(path=path) as spot:
                if leads_out(spot):
                    raise SourceUnreadable(
                        message="The proxy cannot be read.", detail="a link leads it out of its root"
                    )
                yield path, self._digest(path)
            case InBucket() as spot:
                copy = self.work / f"{self.index:05d}.proxy"
                try:
                    with working_in(self.work):
                        size = self._require_space(spot)
                        digest = copy_object(
                            self.places, spot, copy, self.should_stop, lambda done: self._report_hashed(done, size)
                        )
                    yield copy, digest
                finally:
                    copy.unlink(missing_ok=True)

    def _require_space(self, spot: InBucket) -> int:
        """Returns the object's size in bytes, or 0 if it does not exist, which `copy_object` reports.

        Raises DiskFull if a copy would not fit.
        """
        try:
            existing = self.places.bucket(spot).head(spot.key)
        except StorageFault as fault:
            raise SourceUnreadable(message="The proxy cannot be read.", detail=fault.detail) from fault
        if existing is None:
            return 0
        size, free = existing.size, free_bytes(self.work)
        if free < size + SPARE:
            raise DiskFull(
                message="There is not enough space for a copy of the proxy.",
                clip=self.index,
                stage="verify",
                detail=f"{self.output} has {size} bytes, {self.work} has {free} free",
            )
        return size

    def _report_hashed(self, done: int, size: int) -> None:
        self.on_progress(VerifyProgress(index=self.index, stage="hash", done=done, size=size))

    def _digest(self, path: Path) -> str:
        size = path.stat().st_size

        def on_read(done: int) -> None:
            if self.should_stop():
                raise Interrupted(message="The verification was stopped.", clip=self.index, stage="verify")
            self._report_hashed(done, size)

        with path.open("rb") as stream:
            return digest_stream(stream, on_read).digest

    def _decode_fault(self, path: Path, frames: int) -> str | None:
        """Returns why picture and sound do not decode from end to end to this many frames, or None if they do."""
        decoded = 0

        def progress(step: EncodeProgress) -> None:
            nonlocal decoded
            decoded = step.frame
            self.on_progress(VerifyProgress(index=self.index, stage="decode", done=step.frame, size=frames))

        log = self.work / f"{self.index:05d}.log"
        argv = (*self.installed.ffmpeg_argv, *_DECODE_BEFORE, "-i", f"file:{path}", *_DECODE_AFTER)
        with working_in(self.work):
            finished = run_encoder(argv, cwd=self.work, log=log, on_progress=progress, should_stop=self.should_stop)
        if finished.ending == "stopped":
            raise Interrupted(message="The verification was stopped.", clip=self.index, stage="verify")
        log.unlink()
        errors = finished.stderr.decode("utf-8", "replace").strip()
        if finished.exit != 0 or errors:
            reason = errors.splitlines()[0] if errors else f"ffmpeg's exit status is {finished.exit}"
            return f"The proxy does not decode from end to end: {reason}."
        if decoded != frames:
            return f"The proxy decodes to {decoded} frames, the job recorded {frames}."
        return None


_DECODE_BEFORE: Final = (
    *("-nostdin", "-hide_banner", "-nostats", "-loglevel", "error", "-progress", "pipe:1", "-xerror"),
    *("-err_detect", "+crccheck+bitstream+buffer", "-protocol_whitelist", "file", "-guess_layout_max", "0"),
)
_DECODE_AFTER: Final = ("-map", "0:v", "-map", "0:a?", "-fps_mode", "passthrough", "-f", "null", "-")
