"""decide_names and decide_timecode: the timecode and reel of the picked picture: exact, absent or refused."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from proxx.contracts.errors import TimecodeMismatch
from proxx.contracts.measures import Rate
from proxx.contracts.profile import ProfileSpec
from proxx.decide.names import NamesDecision, decide_names
from proxx.decide.notes import NoteKind
from proxx.ffmpeg.command import proxy_label
from proxx.ffmpeg.streams import Stream, VideoStream
from tests.support.facts import audio, clock, probed, profile, video

R25, R50 = Rate(num=25, den=1), Rate(num=50, den=1)
NTSC, NTSC60 = Rate(num=30000, den=1001), Rate(num=60000, den=1001)
FILM = Rate(num=24000, den=1001)
MXF = profile(container="mxf", reel={"carried": "global"}, audio={"mode": "mono", "rate": 48000})
MP4 = profile(container="mp4", reel={"carried": "none"}, audio={"encoder": "aac", "codec": "aac", "bits": 16})


def decide(
    *streams: Stream,
    rate: Rate = R25,
    by: ProfileSpec | None = None,
    pick: int = 0,
    **whole: Any,  # noqa: ANN401  (the arguments of `probed`)
) -> NamesDecision:
    found = probed(*streams, **whole)
    stream = found.streams[pick]
    assert isinstance(stream, VideoStream)
    decision = decide_names(by or profile(), found, stream, rate)
    label = proxy_label(decision.timecode, rate)  # the label that the command writes
    assert (label[0] if label else None) == decision.expected_timecode
    return decision


def test_the_timecode_of_a_tmcd_track_by_the_picture_it_belongs_to() -> None:
    tagged = video(tags={"timecode": "01:00:00:00"})
    decision = decide(tagged, clock(1, "01:00:00:00"))
    assert (decision.timecode.origin, decision.expected_timecode, decision.timecode.drop) == ("tmcd", 90000, False)


def test_the_picked_picture_has_its_own_timecode() -> None:
    first, second = video(0, tags={"timecode": "10:00:00:00"}), video(1, tags={"timecode": "01:00:00:00"})
    clocks = clock(2, "10:00:00:00", Fraction(50)), clock(3, "01:00:00:00", Fraction(25))
    assert decide(first, second, *clocks, rate=R50).expected_timecode == 10 * 3600 * 50
    assert decide(first, second, *clocks, rate=R25, pick=1).expected_timecode == 3600 * 25
    bare = decide(video(0), second, *clocks, rate=R50, tags={"timecode": "10:00:00:00"})
    assert bare.timecode.state == "absent"


@pytest.mark.parametrize(
    ("streams", "whole", "origin"),
    [
        ((video(tags={"timecode": "00:00:01:00"}),), {}, "stream tag"),
        ((video(), clock(1, "00:00:01:00")), {}, "tmcd"),
        ((video(),), {"tags": {"TIMECODE": "00:00:01:00"}}, "format tag"),
        ((video(),), {"tags": {"timecode": "00:00:01:00"}, "container": "mxf"}, "mxf"),
    ],
)
def test_the_origin_of_timecode_is_recorded(streams: tuple[Stream, ...], whole: dict[str, Any], origin: str) -> None:
    decision = decide(*streams, **whole)
    assert (decision.timecode.origin, decision.expected_timecode) == (origin, 25)


def test_the_timecode_of_a_sound_track_is_not_used() -> None:
    assert decide(video(), audio(1, tags={"timecode": "01:00:00:00"})).timecode.state == "absent"


def test_drop_frame_is_counted_as_such() -> None:
    decision = decide(video(tags={"timecode": "01:00:00;02"}), rate=NTSC)
    assert (decision.timecode.drop, decision.expected_timecode) == (True, 107894)


@pytest.mark.parametrize(
    ("label", "rate"),
    [("01:01:00;00", NTSC), ("01:00:00;00", R25), ("01:00:00:25", R25), ("25:00:00:00", R25), ("nonsense", R25)],
)
def test_labels_that_cannot_exist_are_refused(label: str, rate: Rate) -> None:
    with pytest.raises(TimecodeMismatch):
        decide(video(tags={"timecode": label}), rate=rate)


def test_timecode_counted_at_25_is_the_same_instant_at_50() -> None:
    tagged = video(tags={"timecode": "01:00:00:12"})
    decision = decide(tagged, clock(1, "01:00:00:12", Fraction(25)), rate=R50)
    assert (str(decision.timecode.rate), decision.timecode.start_frame) == ("25", 90012)
    assert decision.expected_timecode == 180024
    (note,) = decision.notes
    assert note.kind is NoteKind.TIMECODE_RECOUNTED and "counted at 25" in note.text


def test_drop_frame_is_recounted_at_twice_and_half_the_rate() -> None:
    low = video(tags={"timecode": "01:00:00;02"})
    assert decide(low, clock(1, "01:00:00;02", NTSC.fraction), rate=NTSC60).expected_timecode == 215788
    high = video(tags={"timecode": "01:00:00;04"})
    assert decide(high, clock(1, "01:00:00;04", NTSC60.fraction), rate=NTSC).expected_timecode == 107894


def test_a_clock_with_the_same_nominal_rate_counts_at_the_pictures_rate() -> None:
    tagged = video(tags={"timecode": "01:00:00:00"})
    decision = decide(tagged, clock(1, "01:00:00:00", Fraction(24)), rate=FILM)
    assert (decision.expected_timecode, decision.notes) == (86400, ())


def test_recounting_keeps_hours_minutes_and_seconds() -> None:
    tagged = video(tags={"timecode": "01:00:00:15"})
    decision = decide(tagged, clock(1, "01:00:00:15", Fraction(30)), rate=Rate(num=24, den=1))
    assert decision.expected_timecode == 3600 * 24 + 12
    with pytest.raises(TimecodeMismatch, match="drop-frame"):
        drop = video(tags={"timecode": "01:00:00;15"})
        decide(drop, clock(1, "01:00:00;15", NTSC.fraction), rate=FILM)


def test_missing_timecode_is_zero_only_if_profile_or_container_require_it() -> None:
    assert decide(video()).expected_timecode is None
    zero = decide(video(), by=profile(timecode={"missing": "zero"}))
    assert (zero.expected_timecode, zero.timecode.origin) == (0, "profile zero")
    mxf = decide(video(), by=MXF)
    assert (mxf.expected_timecode, mxf.timecode.origin) == (0, "mxf zero")
    assert mxf.notes[0].kind is NoteKind.TIMECODE_ADDED and "MXF" in mxf.notes[0].text


def test_the_reel_is_read_from_where_cameras_write_it() -> None:
    label = {"timecode": "01:00:00:00"}
    assert decide(video(tags={**label, "reel_name": "A001"})).expected_reel == "A001"
    beside = decide(video(tags=label), clock(1, "01:00:00:00", reel_name="A002"))
    assert (beside.expected_reel, beside.names.reel.origin) == ("A002", "tmcd")
    apple = decide(video(tags=label), tags={"com.apple.proapps.reel": "A003"})
    assert (apple.expected_reel, apple.names.reel.origin) == ("A003", "format tag")
    assert decide(video(), tags={"reel_name": "T1"}, by=MXF).expected_reel == "T1"


def test_a_reel_that_cannot_be_carried_is_noted() -> None:
    tagged = video(tags={"timecode": "01:00:00:00", "reel_name": "A001"})
    mp4 = decide(tagged, by=MP4)
    assert mp4.expected_reel is None and mp4.names.reel.value == "A001"
    assert mp4.notes[0].kind is NoteKind.REEL_NOT_CARRIED and "MP4" in mp4.notes[0].text
    bare = decide(video(tags={"reel_name": "A001"}))
    assert bare.expected_reel is None and "timecode" in bare.notes[0].text


def test_tape_roll_and_clip_names_are_recorded() -> None:
    names = decide(video(tags={"TAPE": "T9"}), tags={"camera_roll": "7", "x.clip_name": "C1"}).names
    assert (names.tape.value, names.camera_roll.value, names.clip_name.value) == ("T9", "7", "C1")
