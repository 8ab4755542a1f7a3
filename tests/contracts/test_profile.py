"""Profiles: impossible ones are refused, and the message names the field."""

from __future__ import annotations

import json
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from proxx.contracts.errors import ProfileInvalid
from proxx.contracts.options import X264_RESERVED
from proxx.contracts.profile import ProfileSpec, Threads, catalogue, find_profile, parse_profile, pinned_threads
from tests.support import specs
from tests.support.edits import DROP, edited

PLAIN = specs.profile().to_json()


def refused(path: str, value: object) -> str:
    """Returns every problem of the sample profile with this change, one on each line."""
    with pytest.raises(ProfileInvalid) as caught:
        parse_profile(toml(edited(PLAIN, path, value)), "my.toml")
    assert "my.toml" in caught.value.message
    assert {problem.code for problem in caught.value.problems} == {"PROFILE_INVALID"}
    return "\n".join(f"{problem.path}: {problem.message}" for problem in caught.value.problems)


def toml(plain: dict[str, Any]) -> str:
    """Returns a plain profile as TOML, with inline tables for all of it."""

    def inline(value: object) -> str:
        if isinstance(value, dict):
            pairs = (f'"{key}" = {inline(item)}' for key, item in value.items() if item is not None)
            return "{" + ", ".join(pairs) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(inline(item) for item in value) + "]"
        return json.dumps(value, ensure_ascii=False)  # numbers, booleans and these strings are the same in TOML

    return "".join(f"{key} = {inline(value)}\n" for key, value in plain.items())


@pytest.mark.clause("P1")
def test_toml_and_json_give_the_same_profile() -> None:
    assert parse_profile(toml(PLAIN), "x") == specs.profile()
    assert ProfileSpec.model_validate_json(specs.profile().model_dump_json(by_alias=True)) == specs.profile()


OPTION = {"name": "g", "value": "1"}
REFUSED: list[tuple[str, object, str]] = [
    ("name", "Sample", "name: "),
    ("name", "a b", "name: "),
    ("name", "../etc", "name: "),
    ("version", 0, "version: "),
    ("version", 1.0, "version: "),
    ("version", True, "version: "),
    ("version", 10**20, "version: "),
    ("description", "", "description: "),
    ("toolchains", [], "toolchains: "),
    ("toolchains", ["system"], "toolchains[0]: "),
    ("container", "mkv", "container: "),
    ("cpu_flags", [], "cpu_flags: "),
    ("cpu_flags", ["mmx,sse"], "cpu_flags[0]: "),
    ("fields", "auto", "fields: "),
    ("fields", "keep", "fields: every reduction deinterlaces"),
    ("fields", DROP, "fields: Field required"),
    ("surprise", 1, "surprise: Extra inputs"),
    ("rates", ["25/1"], "rates[0]: '25/1' is not a rate in lowest terms"),
    ("rates", ["25", "50/2"], "rates[1]: "),
    ("rates", ["25/0"], "rates[0]: "),
    ("rates", ["0"], "rates[0]: "),
    ("rates", ["٢٥"], "rates[0]: "),
    ("rates", ["29.97"], "rates[0]: "),
    ("video.encoder", "hevc", "video.encoder: "),
    ("video.encoder", "libx264", "video: codec: libx264 writes h264"),
    ("video.codec", "dnxhd", "video: codec: prores_aw writes prores"),
    ("video.bits", 8, "video: bits: yuv422p10le has 10"),
    ("video.pixel_format", "yuv420p", "video: bits: yuv420p has 8"),
    ("video.options[0]", {"name": "-i", "value": "1"}, "video.options[0].name: "),
    ("video.options[0]", {"name": "g", "value": "/etc/passwd"}, "video.options[0].value: "),
    ("video.options[0]", {"name": "g", "value": ""}, "video.options[0].value: "),
    ("video.options[0]", {"name": "g", "value": 1}, "video.options[0].value: "),
    ("video.options[0]", OPTION | {"x": "y"}, "video.options[0].x: "),
    ("video.scaler", "bicubic,drawtext", "video.scaler: "),
    ("video.scaler", "bicubic+bitexact", "video: scaler: without accurate_rnd the bytes depend on the CPU"),
    ("video.smallest_width", 0, "video.smallest_width: "),
    ("size.n", 0, "size.n: "),
    ("size.n", DROP, "size: `n` goes with mode `divide`"),
    ("size.width", 1920, "size: `width` and `height` go with modes `fit` and `pad`"),
    ("size", {"mode": "fit", "width": 1920}, "size: `width` and `height` go"),
    ("size", {"mode": "fit", "width": 1921, "height": 1080}, "size: `width` must be even"),
    ("size", {"mode": "pad", "width": 1920, "height": 1082}, "size: `width` must be even and `height` a"),
    ("size", {"mode": "same", "n": 2}, "size: `n` goes with"),
    ("colour.range", "pc", "colour.range: "),
    ("audio.encoder", "aac", "audio: `encoder` and `codec`"),
    ("audio.bits", 16, "audio: bits: pcm_s24le has 24"),
    ("audio.rate", 44100, "audio.rate"),
    ("timecode.missing", "now", "timecode.missing: "),
    ("reel.carried", "global", "reel: mov carries a reel as stream or none"),
    ("threads.decode", 0, "threads.decode: "),
    ("threads.encode", 17, "threads.encode: "),
    ("measured.low_kbps", 100_000, "measured: `low_kbps` is more than `high_kbps`"),
    ("measured.high_kbps", 10**20, "measured.high_kbps: "),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "message"), REFUSED, ids=lambda value: str(value)[:30])
@pytest.mark.clause("P1")
def test_an_impossible_profile_is_refused_with_its_field(path: str, value: object, message: str) -> None:
    assert message in refused(path, value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"container": "mxf", "reel.carried": "stream"}, "reel: mxf carries a reel as global or none"),
        ({"container": "mxf", "reel.carried": "global"}, "audio: MXF takes mono tracks at 48000 Hz"),
        ({"container": "mxf", "reel.carried": "global", "audio.mode": "mono"}, "audio: MXF takes mono tracks"),
        ({"container": "mp4"}, "reel: mp4 carries a reel as none"),
        ({"container": "mp4", "reel.carried": "none"}, "audio: MP4 takes AAC"),
        (
            {
                "fields": "keep",
                "size": {"mode": "same"},
                "video.options": [],
                "video.encoder": "dnxhd",
                "video.codec": "dnxhd",
            },
            "fields: only ProRes keeps fields",
        ),
    ],
)
def test_a_profile_asks_for_what_its_container_and_codec_can_do(changes: dict[str, object], message: str) -> None:
    plain: Any = PLAIN
    for path, value in changes.items():
        plain = edited(plain, path, value)
    with pytest.raises(ProfileInvalid, match=re.escape(message)):
        parse_profile(toml(plain), "x")


ESCAPES = (
    "i", "f", "y", "map", "vf", "filter_complex", "lavfi", "dec", "attach", "report", "timecode", "metadata",
    "threads", "cpuflags", "fflags", "flags", "pass", "passlogfile", "vstats_file", "progress", "hwaccel", "c",
    "codec", "r", "s", "pix_fmt", "ss", "t", "frames", "vn", "target", "fpre", "stats_enc_pre", "fps_mode", "copyts",
    "disposition", "maxrate", "bufsize", "minrate", "crf_max",
    # these take no value, so ffmpeg would take it as the name of a second output
    "stats", "nostats", "noxerror", "xerror", "benchmark", "autorotate", "bitexact", "re", "start_at_zero",
    # these change what proxx sets itself, or what can be read from the proxy
    "format", "field_order", "colorspace", "color_range", "movie_timescale", "encryption_key", "bsf", "tag", "ac",
    "ar",
)  # fmt: skip


@pytest.mark.parametrize("place", ["container_options", "video.options", "audio.options"])
def test_only_known_options_are_allowed(place: str) -> None:
    for name in (*ESCAPES, *(f"{name}:v" for name in ESCAPES)):
        message = refused(place, [{"name": name, "value": "tcp:10.0.0.1:80"}])
        assert message.startswith(f"{place}[0]: {name!r}")


@pytest.mark.parametrize(
    ("place", "names", "message"),
    [
        ("video.options", ("crf",), "video: options: prores_aw: 'crf' is not one of profile, qmax, qmin, vendor"),
        ("video.options", ("vendor:a",), "video: options: prores_aw: 'vendor:a' is not one of"),
        ("video.options", ("vendor", "vendor:v"), "video: options: prores_aw: 'vendor:v' occurs twice"),
        ("audio.options", ("b:a",), "audio: options: pcm_s24le: 'b:a' is not one of its options: it has no options"),
        ("container_options", ("signal_standard",), "container_options: mov: 'signal_standard' is not one of"),
    ],
)
def test_an_option_belongs_to_its_encoder_and_occurs_once(place: str, names: tuple[str, ...], message: str) -> None:
    assert message in refused(place, [{"name": name, "value": "1"} for name in names])


@pytest.mark.parametrize("option", ["x264-params", "x264opts"])
@pytest.mark.parametrize(
    "key", sorted({*X264_RESERVED, *(key.replace("-", "_") for key in X264_RESERVED), "vbv-maxrate"})
)
def test_reserved_x264_keys_are_refused(option: str, key: str) -> None:
    message = refused("video.options", [{"name": option, "value": f"ref=1:{key}=x"}])
    assert message.startswith(f"video.options[0]: {option!r}: ")
    assert refused("video.options", [{"name": option, "value": key}])


def test_all_problems_are_reported_together() -> None:
    plain = edited(edited(edited(PLAIN, "version", 0), "size.n", 0), "surprise", 1)
    with pytest.raises(ProfileInvalid) as caught:
        parse_profile(toml(plain), "x")
    assert [problem.path for problem in caught.value.problems] == ["version", "size.n", "surprise"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "is not TOML"),
        ("", "None is not 'proxx.profile/1'"),
        ('schema = "proxx.profile/0"', "'proxx.profile/0' is not 'proxx.profile/1'"),
        ("schema = 1979-05-27", "is not 'proxx.profile/1'"),
    ],
)
def test_the_schema_of_a_profile_is_checked_first(text: str, message: str) -> None:
    with pytest.raises(ProfileInvalid, match=re.escape(message)):
        parse_profile(text, "x")


def test_a_users_file_has_the_same_form(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text(specs.PROFILE_TOML, encoding="utf-8")
    assert find_profile(str(file)) == specs.profile()
    assert find_profile(str(file)).fingerprint == specs.profile().fingerprint


def test_unreadable_profile_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileInvalid, match="cannot be read"):
        find_profile(str(tmp_path / "none.toml"))
    (tmp_path / "latin.toml").write_bytes("é".encode("latin-1"))
    with pytest.raises(ProfileInvalid, match="cannot be read"):
        find_profile(str(tmp_path / "latin.toml"))


@pytest.mark.parametrize("name", ["nonesuch", "", "PRORES", "..", "__init__"])
def test_an_unknown_profile_name_is_refused(name: str) -> None:
    with pytest.raises(ProfileInvalid, match="No profile is called"):
        find_profile(name)


def test_every_built_in_profile_is_complete() -> None:
    for name in catalogue():
        profile = find_profile(name)
        assert profile.name == name
        assert parse_profile(toml(profile.to_json()), name) == profile


def test_an_x264_profile_pins_the_assembly() -> None:
    text = resources.files("proxx").joinpath("catalogue/h264_half.toml").read_text("utf-8")
    assert "asm=avx2:" in text
    with pytest.raises(ProfileInvalid, match="libx264 needs `asm=avx2`"):
        parse_profile(text.replace("asm=avx2:", ""), "x")


def test_any_changed_rule_changes_the_fingerprint() -> None:
    known = {specs.profile().fingerprint}
    for path, value in [("version", 2), ("video.scaler", "lanczos+accurate_rnd+bitexact"), ("threads.encode", 1),
                        ("cpu_flags", ["sse2"]), ("container_options", []), ("description", "B"),
                        ("measured.bounded", True)]:  # fmt: skip
        known.add(parse_profile(toml(edited(PLAIN, path, value)), "x").fingerprint)
    assert len(known) == 8


def test_the_order_of_the_file_makes_no_difference() -> None:
    turned = dict(reversed(list(tomllib.loads(specs.PROFILE_TOML).items())))
    assert parse_profile(toml(turned), "x").fingerprint == specs.profile().fingerprint


@pytest.mark.parametrize(
    ("decoder", "damage", "decode"),
    [
        ("prores", "refuse", 2),
        ("hevc", "refuse", 2),
        ("h264", "refuse", 1),
        ("mpeg4", "refuse", 1),
        ("prores", "accept", 1),
    ],
)
@pytest.mark.clause("I4")
def test_damage_that_is_seen_by_chance_is_decoded_by_one_thread(decoder: str, damage: str, decode: int) -> None:
    assert pinned_threads(Threads(decode=2, filter=3, encode=4), decoder, damage) == Threads(
        decode=decode, filter=3, encode=4
    )
