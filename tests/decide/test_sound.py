"""decide_sound: every track and channel, mapped by index, exactly as long as the picture."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxx.contracts.measures import STANDARD_RATES, Rate
from proxx.contracts.profile import ProfileSpec
from proxx.decide.notes import NoteKind
from proxx.decide.sound import PictureSpan, SoundDecision, decide_sound, layout_of
from proxx.ffmpeg.streams import AudioStream
from tests.support.facts import DECODERS, audio, pictures, probed, profile, sounds, video

SECOND = PictureSpan(frames=25, rate=Rate(num=25, den=1))
AAC = profile(container="mp4", reel={"carried": "none"}, audio={"encoder": "aac", "codec": "aac", "bits": 16})
MONO = profile(audio={"mode": "mono", "rate": 48000})


def decide(
    *streams: AudioStream,
    by: ProfileSpec | None = None,
    **tables: Any,  # noqa: ANN401  (the arguments of `sounds`)
) -> SoundDecision:
    found = {stream.index: sounds(stream.index, **tables) for stream in streams}
    return decide_sound(by or profile(), probed(video(), *streams), pictures(), found, SECOND, DECODERS)


def channels(decision: SoundDecision) -> list[list[tuple[int, int]]]:
    return [[(pick.stream, pick.channel) for pick in track.map] for track in decision.tracks]


def test_tracks_stay_as_they_are() -> None:
    surround = audio(2, channels=6, layout="5.1(side)", codec="ac3")
    decision = decide(audio(1, tags={"language": "eng", "title": "Boom"}), surround)
    assert channels(decision) == [[(1, 0), (1, 1)], [(2, n) for n in range(6)]]
    assert [track.layout for track in decision.tracks] == ["stereo", "5.1(side)"]
    assert (decision.tracks[0].language, decision.tracks[0].title) == ("eng", "Boom")
    assert decision.samples == (48000, 48000)


def test_eight_mono_tracks_stay_eight() -> None:
    decision = decide(*(audio(n, channels=1, layout=None) for n in range(1, 9)))
    assert len(decision.tracks) == 8
    assert {track.layout for track in decision.tracks} == {"mono"}


def test_unlabelled_channels_stay_discrete() -> None:
    assert layout_of(audio(channels=8, layout=None)) == ("discrete", ())
    assert layout_of(audio(channels=2, layout="2 channels (FL+LFE)")) == ("discrete", ("FL", "LFE"))
    assert layout_of(audio(channels=4, layout="ambisonic 1")) == ("discrete", ())


def test_each_channel_becomes_a_track_if_the_profile_requires_it() -> None:
    decision = decide(audio(1, channels=6, layout="5.1"), by=MONO)
    assert channels(decision) == [[(1, n)] for n in range(6)]
    assert {track.layout for track in decision.tracks} == {"mono"}
    assert len(decision.decoders) == 1


def test_aac_keeps_stereo_and_splits_what_it_would_guess() -> None:
    decision = decide(audio(1), audio(2, channels=8, layout=None), by=AAC)
    assert [len(track.map) for track in decision.tracks] == [2] + [1] * 8


@pytest.mark.parametrize(
    ("codec", "decoder"),
    [("aac", "aac_fixed"), ("ac3", "ac3_fixed"), ("mp3", "mp3"), ("pcm_s16le", "pcm_s16le"), ("flac", "flac")],
)
def test_decoders_are_named_and_the_same_on_every_cpu(codec: str, decoder: str) -> None:
    assert decide(audio(codec=codec)).decoders[0].decoder == decoder


def test_a_profile_the_fixed_decoder_lacks_uses_the_other_decoder() -> None:
    assert decide(audio(codec="aac", profile="xHE-AAC")).decoders[0].decoder == "aac"


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"codec": "apac"}, "cannot decode"),
        ({"codec": None}, "cannot decode"),
        ({"channels": 0}, "no channels"),
    ],
)
def test_undecodable_sound_is_excluded_with_the_reason(odd: dict[str, Any], reason: str) -> None:
    decision = decide(audio(1, **odd), audio(2))
    assert [track.map[0].stream for track in decision.tracks] == [2]
    assert [(item.index, reason in item.reason) for item in decision.excluded] == [(1, True)]


def test_a_profile_without_sound_excludes_each_track() -> None:
    decision = decide(audio(1), audio(2), by=profile(audio={"mode": "none"}))
    assert decision.tracks == () and len(decision.excluded) == 2


@pytest.mark.parametrize(
    ("start", "rate", "offset"),
    [(Fraction(0), "source", 0), (Fraction(-1001, 12000), "source", -4004), (Fraction(8297, 44100), "source", 9031)],
)
def test_the_offset_is_in_samples_of_the_track(start: Fraction, rate: str, offset: int) -> None:
    assert decide(audio(), by=profile(audio={"rate": rate}), start=start).offsets == (offset,)


def test_the_offset_follows_the_rate_of_the_proxy() -> None:
    cd = audio(1, rate=44100)
    table = {1: sounds(1, start=Fraction(1, 2), rate=44100)}
    found = probed(video(), cd)
    assert decide_sound(MONO, found, pictures(), table, SECOND, DECODERS).offsets == (24000, 24000)
    assert decide_sound(profile(), found, pictures(), table, SECOND, DECODERS).offsets == (22050,)


def test_silence_under_the_picture_is_noted() -> None:
    assert decide(audio(1), samples=48000).notes == ()
    assert decide(audio(1), samples=48000 - 1920).notes == ()  # one frame
    (note,) = decide(audio(1), samples=24000).notes
    assert note.kind is NoteKind.SILENCE_ADDED
    assert note.text == "sound of stream 1 ends 24000 samples (13 frames) before the picture: silence is added"


def test_gaps_are_noted() -> None:
    (note,) = decide(audio(), gaps=3).notes
    assert note.kind is NoteKind.SOUND_GAPS_CLOSED and "3 gaps" in note.text


@given(st.integers(1, 10**7), st.sampled_from(STANDARD_RATES), st.sampled_from([8000, 44100, 48000, 96000]))
def test_sound_is_as_long_as_the_picture_to_half_a_sample(frames: int, rate: Rate, hertz: int) -> None:
    samples = PictureSpan(frames=frames, rate=rate).samples(hertz)
    assert abs(Fraction(samples, hertz) - frames / rate.fraction) <= Fraction(1, 2 * hertz)
