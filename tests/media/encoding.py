"""Makes proxies as a job does: decided as by `create`, encoded by their own command, checked against expectation."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from proxx.contracts.error_bases import ClipFailure
from proxx.contracts.job import Clip
from proxx.contracts.profile import ProfileSpec
from proxx.create.examine import examine_source
from proxx.decide.clip import decide_clip
from proxx.engine.checks import compare_with_expectation, failure_of_checks
from proxx.ffmpeg.command import bind_paths, plan_command
from proxx.ffmpeg.encode_log import EncodeEvidence, encode_failure, read_encode_log
from proxx.ffmpeg.mxf_umid import write_umids
from proxx.ffmpeg.probe import decoders
from proxx.ffmpeg.process import ENVIRONMENT, run_encoder
from proxx.ffmpeg.proxy_probe import ProxyContents, probe_proxy
from tests.support.makemedia import FFMPEG, FFPROBE


@dataclass(frozen=True)
class Made:
    """A proxy, how it was encoded, and what ffprobe reads from it."""

    clip: Clip
    path: Path
    sha256: str
    encoded: EncodeEvidence
    found: ProxyContents


@dataclass(frozen=True)
class Surroundings:
    """Surroundings that must not change the bytes: launcher, working directory, environment, which of two ffmpegs."""

    launcher: Sequence[str] = ()
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=lambda: dict(ENVIRONMENT))
    ffmpeg: Path = FFMPEG


DEFAULT = Surroundings()


@cache
def _decoders() -> frozenset[str]:
    return decoders(FFMPEG)


def decide(profile: ProfileSpec, source: Path) -> Clip:
    """Returns the clip as `create` decides it."""
    facts = examine_source(
        source, FFPROBE, _decoders(), accept_damage=False, sound=True, on_read=lambda done, size: None
    )
    decided = decide_clip(profile, facts, f"/proxies/x.{profile.container}", _decoders(), False)
    assert not isinstance(decided, ClipFailure), decided
    return decided.clip


def encode(
    profile: ProfileSpec, clip: Clip, folder: Path, surroundings: Surroundings = DEFAULT
) -> tuple[Path, EncodeEvidence]:
    """Runs the clip's command; a failure shows ffmpeg's log."""
    folder.mkdir(parents=True, exist_ok=True)
    path, log = folder / f"proxy.{profile.container}", folder / "log"
    source = clip.source.files[0]
    argv = bind_paths(plan_command(profile, clip).argv, surroundings.ffmpeg, Path(source.uri), path)
    done = run_encoder((*surroundings.launcher, *argv), cwd=surroundings.cwd or folder, log=log, env=surroundings.env)
    encoded = read_encode_log(log)
    assert done.exit == 0, f"{encode_failure(done.exit, encoded)}\n{done.stderr.decode(errors='replace')[-3000:]}"
    if profile.container == "mxf":
        write_umids(path, source.digest, profile.fingerprint)
    return path, encoded


def make_proxy(profile: ProfileSpec, source: Path, folder: Path, surroundings: Surroundings = DEFAULT) -> Made:
    """Decides, encodes and probes; fails the test if any check is not equal."""
    clip = decide(profile, source)
    path, encoded = encode(profile, clip, folder, surroundings)
    found = probe_proxy(path, FFPROBE)
    checks = compare_with_expectation(profile, clip, encoded, found)
    failure = failure_of_checks(checks)
    assert failure is None, failure
    assert all(check.equal for check in checks)
    return Made(clip, path, hashlib.sha256(path.read_bytes()).hexdigest(), encoded, found)


def tool(name: str) -> str | None:
    """Returns the full path of a program of this machine, or None if it is not installed."""
    found = shutil.which(name)
    return str(Path(found).resolve()) if found else None
