"""The encoder and container options that a profile may set, by name. All others are refused.

A list of forbidden options could never be complete. If ffmpeg takes an option without a value (`-stats`,
`-noxerror`), the value becomes the name of a second output, which may be a network address; other options name files,
replace what proxx itself sets, or encrypt.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Annotated, Final, Self

from pydantic import StringConstraints, model_validator

from proxx.contracts.model import Contract

_NONE: Final = frozenset[str]()
_MOV: Final = frozenset({"brand", "movflags", "use_editlist", "write_btrt"})

ENCODER_OPTIONS: Final = MappingProxyType(
    {
        "prores_aw": frozenset({"profile", "vendor", "qmin", "qmax"}),
        "prores_ks": frozenset(
            {"profile", "vendor", "bits_per_mb", "mbs_per_slice", "quant_mat", "alpha_bits", "b", "q", "qscale"}
        ),
        "dnxhd": frozenset({"profile", "nitris_compat", "ibias", "b", "qmin", "qmax", "mbd"}),
        "libx264": frozenset(
            {"profile", "preset", "tune", "level", "fastfirstpass", "crf", "qp", "b", "g", "keyint_min",
             "sc_threshold", "bf", "refs", "qmin", "qmax", "qdiff", "qcomp", "trellis", "subq", "me_range", "aq-mode",
             "aq-strength", "psy", "psy-rd", "rc-lookahead", "weightb", "weightp", "b-bias", "b-pyramid",
             "mixed-refs", "8x8dct", "fast-pskip", "aud", "mbtree", "deblock", "cplxblur", "partitions",
             "direct-pred", "intra-refresh", "bluray-compat", "forced-idr", "coder", "b_strategy", "chromaoffset",
             "noise_reduction", "me_method", "motion-est", "avcintra-class", "a53cc", "udu_sei", "x264-params",
             "x264opts"}
        ),
        "aac": frozenset({"b", "q", "profile", "aac_coder", "aac_ms", "aac_is", "aac_pns", "aac_tns", "cutoff"}),
        "pcm_s16le": _NONE,
        "pcm_s24le": _NONE,
    }
)  # fmt: skip
CONTAINER_OPTIONS: Final = MappingProxyType(
    {"mov": _MOV, "mp4": _MOV, "mxf": frozenset({"signal_standard", "store_user_comments"})}
)
KNOWN: Final = frozenset[str]().union(*ENCODER_OPTIONS.values(), *CONTAINER_OPTIONS.values())

X264_RESERVED: Final = frozenset(
    {"stats", "pass", "log-file", "qpfile", "cqmfile", "dump-yuv", "opencl", "opencl-clbin", "opencl-device",
     "threads", "non-deterministic"}
)  # fmt: skip
"""Refused in the value of `x264-params` and `x264opts`: they name files, or proxx itself sets them."""


class Option(Contract):
    """One encoder or container option, by ffmpeg's name without the dash. `:v` or `:a` may name its stream."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-zA-Z0-9_:+-]*$")]
    value: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:=+-]+$", max_length=400)]

    @property
    def stem(self) -> str:
        """The name without the stream."""
        return self.name.split(":")[0]

    @model_validator(mode="after")
    def _harmless(self) -> Self:
        if self.stem not in KNOWN:
            raise ValueError(f"{self.name!r} is set by proxx itself or not allowed in a profile")
        if "vbv" in self.value:  # with several threads the bytes differed from run to run (measured)
            raise ValueError(f"{self.name!r}: bounded buffers make the bytes depend on timing; use a quality value")
        if self.stem in ("x264-params", "x264opts"):
            inner = {pair.split("=")[0].replace("_", "-") for pair in self.value.split(":")}
            if taken := sorted(inner & X264_RESERVED):
                raise ValueError(f"{self.name!r}: {', '.join(taken)} is set by proxx itself or not allowed")
        return self


def option_problem(options: Iterable[Option], allowed: frozenset[str], kind: str) -> str | None:
    """Returns why these cannot be the options of one encoder or container, or None. kind: `v`, `a` or ``."""
    seen: set[str] = set()
    for option in options:
        if option.stem not in allowed or option.name not in (option.stem, f"{option.stem}:{kind}"):
            return f"{option.name!r} is not one of {', '.join(sorted(allowed)) or 'its options: it has no options'}"
        if option.stem in seen:
            return f"{option.name!r} occurs twice"
        seen.add(option.stem)
    return None
