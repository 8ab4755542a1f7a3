"""`proxx reproduce --with-profile`, `--with-toolchain`: what would change, and does relinking hold?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxx.cli.json_stream import Streamed
from proxx.cli.reencoding import left_out, place_of, problem_of, tally_of, the_yard, watched, which
from proxx.console.output import out, table
from proxx.console.settings import current_settings, places_from_options, read_spec_file, store_from_options
from proxx.console.wording import plural, safe

if TYPE_CHECKING:
    from datetime import date

    from proxx.contracts.canonical import Json
    from proxx.contracts.error_bases import ProxxError
    from proxx.decide.relink import Difference
    from proxx.proof.compare import ReencodeSession
    from proxx.proof.sample import SampleItem, SampleScope, SampleTally
    from proxx.proof.upgrade import ClipPrediction, PredictedOutcome, UpgradeChange

SHOWN: Final = 6
"""Clips of each kind that are named on the screen; --json has all."""

WIDEST: Final = 60
"""Characters of an example in the table."""


@dataclass(kw_only=True)
class UpgradeTotals:
    """What is kept of all clips: counts, one example of each difference, the first clips that would be others."""

    outlooks: Counter[PredictedOutcome] = field(default_factory=Counter)
    differing: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Difference] = field(default_factory=dict)
    named: dict[PredictedOutcome, list[str]] = field(default_factory=dict)

    def add(self, one: ClipPrediction) -> None:
        self.outlooks[one.outlook] += 1
        for each in one.differences:
            self.differing[each.name] += 1
            self.examples.setdefault(each.name, each)
        if len(named := self.named.setdefault(one.outlook, [])) < SHOWN:
            named.append(f"{one.outlook:<16}  {which(one.of)}: {_why(one)}")


def upgrade_report(
    spec: Path | None,
    share: Fraction,
    since: date | None,
    elsewhere: bool,
    work: Path | None,
    profile: str | None,
    toolchain: str | None,
) -> int:
    """Of one job where `spec` names it, else of all finished ones (of that profile, where one is named)."""
    from proxx.contracts.error_bases import ProxxError
    from proxx.contracts.profile import find_profile
    from proxx.ffmpeg.toolchain import NAMES, find_toolchain
    from proxx.proof.sample import SampleScope, SampleTally
    from proxx.proof.upgrade import PredictedOutcome, UpgradeChange, predict_clip

    change = UpgradeChange(
        profile=find_profile(profile) if profile else None,
        toolchain=find_toolchain(next(name for name in NAMES if name == toolchain)) if toolchain else None,
    )
    tally, summary, failure = SampleTally(), UpgradeTotals(), None
    with the_yard(work) as yard:
        wanted = SampleScope(
            share=share,
            since=since,
            not_made_on=yard.worker.host if elsewhere else None,
            profile=change.profile.name if change.profile else None,
        )
        clips = _of_all(wanted, tally, yard) if spec is None else _of_one(spec, share, tally)
        stream = Streamed("clips", _head(change)) if current_settings().json else None
        if stream is None:
            out(f"Deciding and encoding again with {_words(change)}. Nothing is published.")
        try:
            for found in clips:
                foreseen = watched(lambda one, at: predict_clip(one, change, at), found, yard)
                summary.add(foreseen)
                if stream is not None:
                    stream.row(_data(foreseen))
        except ProxxError as why:  # what was foreseen until then is told all the same
            failure = why
    failure = failure or _verdict(summary.outlooks)
    if stream is not None:
        from proxx.console.failures import failure_data

        said: dict[str, Json] = {"counts": {each.value: summary.outlooks[each] for each in PredictedOutcome}}
        said |= {**tally_of(tally), "relinks": failure is None}
        stream.end({**said, "error": failure_data(failure)} if failure else said)
        return failure.status if failure else 0
    _say(summary, tally, yard.worker.host)
    if failure is not None:
        raise failure
    return 0


def _of_all(wanted: SampleScope, tally: SampleTally, yard: ReencodeSession) -> Iterator[SampleItem]:
    from proxx.proof.sample import sample

    return sample(store_from_options(), wanted, tally, yard.should_stop)


def _of_one(spec: Path, share: Fraction, tally: SampleTally) -> Iterator[SampleItem]:
    from proxx.contracts.job import read_spec
    from proxx.proof.reproduce import choose_clips, expected_bytes
    from proxx.proof.sample import SampledClip
    from proxx.proof.verify import records

    job = read_spec(read_spec_file(spec))
    store = store_from_options()
    known = records(store, job.job_id)
    expected = expected_bytes(job, choose_clips(job.clips, share), known, places_from_options(store))
    tally.jobs, tally.clips = 1, len(job.clips)
    return (
        SampledClip(
            spec=job,
            index=index,
            expected=sha256,
            made_by=None,
            attempt=known[index].attempt if index in known else None,
        )
        for index, sha256 in expected.items()
    )


def _verdict(outlooks: Counter[PredictedOutcome]) -> ProxxError | None:
    from proxx.contracts.errors import ReproduceIncomplete, WouldNotRelink
    from proxx.proof.upgrade import PredictedOutcome

    broken, unjudged = (
        outlooks[PredictedOutcome.BREAKS] + outlooks[PredictedOutcome.REFUSED],
        outlooks[PredictedOutcome.NOT_JUDGED],
    )
    of = plural(outlooks.total(), "clip")
    if broken:
        return WouldNotRelink(message=f"{broken} of {of} would not relink, or would not be made.")
    if unjudged:
        return ReproduceIncomplete(message=f"{unjudged} of {of} cannot be judged here.")
    return None


# --- in words --------------------------------------------------------------------------------------------


def _words(change: UpgradeChange) -> str:
    profile, toolchain = change.profile, change.toolchain
    parts = [
        *([f"profile {profile.name} version {profile.version}"] if profile else []),
        *([f"toolchain {_build(change)}"] if toolchain else ["each job's own toolchain"]),
    ]
    return " and ".join(parts)


def _build(change: UpgradeChange) -> str:
    identity = change.toolchain.identity if change.toolchain else None
    return f"{identity.name} (ffmpeg {safe(identity.ffmpeg_version)})" if identity else ""


def _why(one: ClipPrediction) -> str:
    """Why there would be none, by what it would not be found, or what else of it would be another."""
    if one.problem is not None:
        return f"{one.problem.code}: {safe(one.problem.message)}"
    broken = [each for each in one.differences if not each.relinks]
    return "; ".join(f"{each.name} {_change(each)}" for each in broken or one.differences) or "other bytes"


def _change(difference: Difference) -> str:
    return f"{safe(difference.old)} -> {safe(difference.new)}"


def _short(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}..."


def _say(summary: UpgradeTotals, tally: SampleTally, host: str) -> None:
    from proxx.proof.upgrade import PredictedOutcome

    for outlook in reversed(PredictedOutcome):
        if outlook != PredictedOutcome.SAME and (named := summary.named.get(outlook)):
            for line in named:
                out(line)
            if more := summary.outlooks[outlook] - len(named):
                out(f"{'':<16}  ... and {more:,} more: --json lists all")
            out()
    table(("WHAT WOULD BECOME", "CLIPS"), [(each, f"{summary.outlooks[each]:,}") for each in PredictedOutcome])
    if summary.differing:
        out()
        rows = [
            (
                name,
                f"{count:,}",
                "yes" if summary.examples[name].relinks else "NO",
                _short(_change(summary.examples[name])),
            )
            for name, count in sorted(
                summary.differing.items(), key=lambda item: (summary.examples[item[0]].relinks, item[0])
            )
        ]
        table(("WHAT DIFFERS", "CLIPS", "RELINKS", "FOR INSTANCE"), rows)
    of = f"{summary.outlooks.total():,} of {plural(tally.clips, 'clip')} of {plural(tally.jobs, 'job')}"
    out(f"\nLooked at: {of}.")
    if told := left_out(tally, host):
        out(f"Left out: {'; '.join(told)}.")


# --- as JSON ---------------------------------------------------------------------------------------------


def _head(change: UpgradeChange) -> dict[str, Json]:
    profile, toolchain = change.profile, change.toolchain
    return {
        "profile": {"name": profile.name, "version": profile.version, "fingerprint": profile.fingerprint}
        if profile
        else None,
        "toolchain": toolchain.identity.to_json() if toolchain else None,
    }


def _data(one: ClipPrediction) -> dict[str, Json]:
    return {
        **place_of(one.of),
        "outlook": one.outlook.value,
        "new_output": one.output,
        "found_sha256": one.found,
        "differences": [
            {"name": each.name, "old": each.old, "new": each.new, "relinks": each.relinks} for each in one.differences
        ],
        "problem": problem_of(one.problem),
    }
