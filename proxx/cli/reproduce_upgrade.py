"""`proxx reproduce --with-profile`, `--with-toolchain`: reports what would change and whether edits still relink."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxx.cli.json_stream import Streamed
from proxx.cli.reencoding import (
    item_json,
    item_label,
    problem_json,
    reencode_session,
    skipped_jobs,
    tally_json,
    with_bar,
)
from proxx.console.output import out, table
from proxx.console.settings import (
    current_settings,
    no_store_yet,
    places_from_options,
    read_spec_file,
    store_from_options,
)
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
"""Clips of each outcome that are printed; --json lists all."""

EXAMPLE_WIDTH: Final = 60
"""Characters of an example in the table."""


@dataclass(kw_only=True)
class UpgradeTotals:
    """What is kept of all clips: counts, an example of each difference, the first clips of each outcome."""

    outlooks: Counter[PredictedOutcome] = field(default_factory=Counter)
    differing: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Difference] = field(default_factory=dict)
    lines: dict[PredictedOutcome, list[str]] = field(default_factory=dict)

    def add(self, prediction: ClipPrediction) -> None:
        """Counts one clip."""
        self.outlooks[prediction.outlook] += 1
        for each in prediction.differences:
            self.differing[each.name] += 1
            self.examples.setdefault(each.name, each)
        if len(lines := self.lines.setdefault(prediction.outlook, [])) < SHOWN:
            lines.append(f"{prediction.outlook:<16}  {item_label(prediction.of)}: {_reason(prediction)}")


def upgrade_report(
    spec: Path | None,
    share: Fraction,
    since: date | None,
    elsewhere: bool,
    work: Path | None,
    profile: str | None,
    toolchain: str | None,
) -> int:
    """Prints the report on the job of `spec`, or on all finished jobs; returns the exit status.

    With `profile`, only jobs whose profile has the same name are included.
    """
    from proxx.contracts.error_bases import ProxxError
    from proxx.contracts.profile import find_profile
    from proxx.ffmpeg.installed import TOOLCHAIN_NAMES
    from proxx.ffmpeg.toolchain import find_toolchain
    from proxx.proof.sample import SampleScope, SampleTally
    from proxx.proof.upgrade import PredictedOutcome, UpgradeChange, predict_clip

    change = UpgradeChange(
        profile=find_profile(profile) if profile else None,
        toolchain=find_toolchain(next(build for build in TOOLCHAIN_NAMES if build == toolchain))
        if toolchain
        else None,
    )
    if spec is None and not current_settings().json and (missing := no_store_yet(store_from_options())):
        out(missing)
        return 0
    tally, totals, failure = SampleTally(), UpgradeTotals(), None
    with reencode_session(work) as session:
        scope = SampleScope(
            share=share,
            since=since,
            not_made_on=session.worker.host if elsewhere else None,
            profile=change.profile.name if change.profile else None,
        )
        items = _sample_all(scope, tally, session) if spec is None else _sample_job(spec, share, tally)
        stream = Streamed("clips", _head(change)) if current_settings().json else None
        if stream is None:
            out(f"Deciding and encoding again with {_change_text(change)}. Nothing is published.")
        try:
            for item in items:
                prediction = with_bar(lambda sampled, active: predict_clip(sampled, change, active), item, session)
                totals.add(prediction)
                if stream is not None:
                    stream.row(_data(prediction))
        except ProxxError as error:  # reported below, after the clips predicted so far
            failure = error
    failure = failure or _failure(totals.outlooks)
    if stream is not None:
        from proxx.console.failures import failure_data

        data: dict[str, Json] = {"counts": {each.value: totals.outlooks[each] for each in PredictedOutcome}}
        data |= {**tally_json(tally), "relinks": failure is None}
        stream.end({**data, "error": failure_data(failure)} if failure else data)
        return failure.status if failure else 0
    _print(totals, tally, session.worker.host)
    if failure is not None:
        raise failure
    return 0


def _sample_all(scope: SampleScope, tally: SampleTally, session: ReencodeSession) -> Iterator[SampleItem]:
    from proxx.proof.sample import sample

    return sample(store_from_options(), scope, tally, session.should_stop)


def _sample_job(spec: Path, share: Fraction, tally: SampleTally) -> Iterator[SampleItem]:
    from proxx.contracts.job import read_spec
    from proxx.proof.reproduce import choose_clips, expected_bytes
    from proxx.proof.sample import SampledClip
    from proxx.proof.verify import records

    job = read_spec(read_spec_file(spec))
    store = store_from_options()
    recorded = records(store, job.job_id)
    expected = expected_bytes(job, choose_clips(job.clips, share), recorded, places_from_options(store))
    tally.jobs, tally.clips = 1, len(job.clips)
    return (
        SampledClip(
            spec=job,
            index=index,
            expected=sha256,
            made_by=None,
            attempt=recorded[index].attempt if index in recorded else None,
        )
        for index, sha256 in expected.items()
    )


def _failure(outlooks: Counter[PredictedOutcome]) -> ProxxError | None:
    from proxx.contracts.errors import ReproduceIncomplete, WouldNotRelink
    from proxx.proof.upgrade import PredictedOutcome

    broken = outlooks[PredictedOutcome.BREAKS] + outlooks[PredictedOutcome.REFUSED]
    not_judged = outlooks[PredictedOutcome.NOT_JUDGED]
    clips = plural(outlooks.total(), "clip")
    if broken:
        return WouldNotRelink(message=f"{broken} of {clips} would not relink, or would be refused.")
    if not_judged:
        return ReproduceIncomplete(message=f"{not_judged} of {clips} cannot be compared on this machine.")
    return None


# --- as text --------------------------------------------------------------------------------------------


def _change_text(change: UpgradeChange) -> str:
    profile, toolchain = change.profile, change.toolchain
    parts = [
        *([f"profile {profile.name} version {profile.version}"] if profile else []),
        *([f"toolchain {_toolchain_text(change)}"] if toolchain else ["each job's own toolchain"]),
    ]
    return " and ".join(parts)


def _toolchain_text(change: UpgradeChange) -> str:
    identity = change.toolchain.identity if change.toolchain else None
    return f"{identity.name} (ffmpeg {safe(identity.ffmpeg_version)})" if identity else ""


def _reason(prediction: ClipPrediction) -> str:
    """Returns why there is no new proxy, else the differences that break relinking, else all differences."""
    if prediction.problem is not None:
        return f"{prediction.problem.code}: {safe(prediction.problem.message)}"
    broken = [each for each in prediction.differences if not each.relinks]
    shown = broken or prediction.differences
    return "; ".join(f"{each.name} {_old_and_new(each)}" for each in shown) or "only the bytes differ"


def _old_and_new(difference: Difference) -> str:
    return f"{safe(difference.old)} -> {safe(difference.new)}"


def _short(text: str) -> str:
    return text if len(text) <= EXAMPLE_WIDTH else f"{text[: EXAMPLE_WIDTH - 3]}..."


def _print(totals: UpgradeTotals, tally: SampleTally, host: str) -> None:
    from proxx.proof.upgrade import PredictedOutcome

    for outlook in reversed(PredictedOutcome):
        if outlook != PredictedOutcome.SAME and (lines := totals.lines.get(outlook)):
            for line in lines:
                out(line)
            if more := totals.outlooks[outlook] - len(lines):
                out(f"{'':<16}  ... and {more:,} more; --json lists all")
            out()
    table(("OUTCOME", "CLIPS"), [(each, f"{totals.outlooks[each]:,}") for each in PredictedOutcome])
    if totals.differing:
        out()
        rows = [
            (
                name,
                f"{count:,}",
                "yes" if totals.examples[name].relinks else "NO",
                _short(_old_and_new(totals.examples[name])),
            )
            for name, count in sorted(
                totals.differing.items(), key=lambda item: (totals.examples[item[0]].relinks, item[0])
            )
        ]
        table(("DIFFERENCE", "CLIPS", "RELINKS", "EXAMPLE"), rows)
    clips = f"{totals.outlooks.total():,} of {plural(tally.clips, 'clip')} of {plural(tally.jobs, 'job')}"
    out(f"\nExamined: {clips}.")
    if skipped := skipped_jobs(tally, host):
        out(f"Left out: {'; '.join(skipped)}.")


# --- as JSON ---------------------------------------------------------------------------------------------


def _head(change: UpgradeChange) -> dict[str, Json]:
    profile, toolchain = change.profile, change.toolchain
    return {
        "profile": {"name": profile.name, "version": profile.version, "fingerprint": profile.fingerprint}
        if profile
        else None,
        "toolchain": toolchain.identity.to_json() if toolchain else None,
    }


def _data(prediction: ClipPrediction) -> dict[str, Json]:
    return {
        **item_json(prediction.of),
        "outlook": prediction.outlook.value,
        "new_output": prediction.output,
        "found_sha256": prediction.found,
        "differences": [
            {"name": each.name, "old": each.old, "new": each.new, "relinks": each.relinks}
            for each in prediction.differences
        ],
        "problem": problem_json(prediction.problem),
    }
