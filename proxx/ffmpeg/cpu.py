"""The CPU features that an encoder may use: what this CPU has, and what a profile requires."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

from proxx.contracts.errors import ToolchainMismatch, ToolchainMissing
from proxx.ffmpeg.installed import InstalledToolchain, last_line
from proxx.ffmpeg.process import capture

_CPU_LINE: Final = re.compile(rb"\[libx264 @ \w+\] using cpu capabilities: ([^\r\n]+)")
_SECONDS: Final = 60  # a fully loaded or emulated machine needs a few

_AVX: Final = ("mmx", "mmxext", "sse", "sse2", "sse3", "ssse3", "sse4.1", "sse4.2", "avx")
AVX2: Final = (*_AVX, "fma3", "bmi1", "bmi2", "avx2")
# The CPU features behind each word that x264 prints (its `common/cpu.c`), in ffmpeg's names for -cpuflags.
_CPU_FEATURES: Final = MappingProxyType(
    {
        "MMX2": _AVX[:2],
        "SSE": _AVX[:3],
        "SSE2": _AVX[:4],
        "SSE2Slow": _AVX[:4],
        "SSE2Fast": _AVX[:4],
        "SSE3": _AVX[:5],
        "SSSE3": _AVX[:6],
        "SSE4.1": _AVX[:7],
        "SSE4.2": _AVX[:8],
        "AVX": _AVX,
        "FMA3": (*_AVX, "fma3"),
        "BMI1": (*_AVX, "bmi1"),
        "BMI2": (*_AVX, "bmi1", "bmi2"),
        "AVX2": AVX2,
        "AVX512": (*AVX2, "avx512"),
    }
)


def require_cpu(installed: InstalledToolchain, cpu_flags: tuple[str, ...]) -> None:
    """Checks that the CPU has all of `cpu_flags` (ffmpeg's names). Raises ToolchainMismatch if it does not.

    ffmpeg itself does not check: with AVX2 enabled on a CPU without it, it dies of SIGILL in the middle of a clip.
    """
    known = _CPU_FEATURES["AVX512"]
    unknown = [flag for flag in cpu_flags if flag not in known]
    if unknown:
        raise ToolchainMismatch(
            message=f"The profile pins the CPU features {', '.join(unknown)}, which proxx cannot detect: "
            f"pin only {', '.join(known)}."
        )
    present = cpu_features(installed)
    missing = [flag for flag in cpu_flags if flag not in present]
    if missing:
        raise ToolchainMismatch(
            message=f"This CPU has no {', '.join(flag.upper() for flag in missing)}, which the profile requires: "
            "use a machine with an AVX2 CPU (x86-64-v3: Intel Haswell, AMD Excavator or later).",
            detail=f"this CPU has: {' '.join(flag for flag in known if flag in present) or 'none of the features'}",
        )


def cpu_features(installed: InstalledToolchain) -> frozenset[str]:
    """Returns the CPU's features in ffmpeg's names, as the running encoder detects them.

    Encodes one 16×16 frame with x264, which prints them: 7 ms. /proc/cpuinfo shows the wrong CPU under emulation.
    """
    argv = (*installed.ffmpeg_argv, "-nostdin", "-hide_banner", "-nostats", "-loglevel", "info")
    argv += ("-f", "lavfi", "-i", "color=size=16x16:rate=25:duration=0.04")
    argv += ("-codec:v", "libx264", "-preset", "ultrafast", "-threads:v", "1", "-f", "null", "-")
    ended = capture(argv, stdout_limit=1 << 16, timeout=_SECONDS)
    printed = _CPU_LINE.search(ended.stderr)
    if not ended.succeeded or printed is None:
        raise ToolchainMissing(
            message=f"The ffmpeg of the {installed.identity.name} toolchain does not run on this machine.",
            detail=f"{installed.ffmpeg}: exit {ended.exit}: {last_line(ended.stderr)}",
        )
    words = printed[1].decode("ascii").split()
    return frozenset(flag for word in words for flag in _CPU_FEATURES.get(word, ()))
