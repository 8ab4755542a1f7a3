"""An encoder build as it is installed on this machine. `toolchain` finds one; `cpu` checks that it can run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from proxx.contracts.job import Toolchain

ToolchainName: TypeAlias = Literal["static", "full"]
TOOLCHAIN_NAMES: Final[tuple[ToolchainName, ...]] = ("static", "full")

PUBLISHED: Final = MappingProxyType(
    {
        ("linux-x86_64", "static"): "sha256:9eac5b2b5076db5ff853a6fa0dcd6b8de7d0cac8481eadda6c47cd935825f1ee",
        ("linux-x86_64", "full"): "sha256:0d709a0bed1a43f24cd2c420878c63afea4580671b6949ad19ed124572f3bc3d",
        ("linux-x86_64", "ffprobe"): "sha256:065d3c56926052a76e884c4e4b51b7d95248da9391ab7effdcca6b94ceab98cf",
    }
)
"""The digests of the files in the pinned wheels, for the platforms this project was built on; unknown for others."""


@dataclass(frozen=True, kw_only=True)
class InstalledToolchain:
    """A toolchain installed on this machine. Start its ffmpeg with `ffmpeg_argv`.

    launcher: for tests only, a program that runs the binaries on an emulated CPU (`/usr/bin/qemu-x86_64 -cpu
    Haswell`). It is not part of the identity, which is always that of the binaries themselves.
    """

    identity: Toolchain
    ffmpeg: Path
    ffprobe: Path
    launcher: tuple[str, ...] = ()

    @property
    def ffmpeg_argv(self) -> tuple[str, ...]:
        return (*self.launcher, str(self.ffmpeg))

    @property
    def published(self) -> bool | None:
        """Whether both files are byte for byte those of the pinned packages; None if the digests are not known."""
        identity = self.identity
        known = [PUBLISHED.get((identity.platform, part)) for part in (identity.name, "ffprobe")]
        return None if None in known else known == [identity.ffmpeg_sha256, identity.ffprobe_sha256]


def last_line(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "no error output"
