"""`proxx reproduce --all`: the fleet's own audit, clips of every finished job encoded again and compared."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from proxx.cli.json_stream import Streamed
from proxx.cli.reencoding import left_out, place_of, problem_of, tally_of, the_yard, watched, which
from proxx.console.output import out
from proxx.console.settings import current_settings, store_from_options
from proxx.console.wording import plural, safe

if TYPE_CHECKING:
    from datetime import date

    from proxx.contracts.canonical import Json
    from proxx.contracts.error_bases import ProxxError
    from proxx.proof.compare import ComparedClip, Comparison
    from proxx.proof.sample import SampleTally


def audit_all(share: Fraction, since: date | None, elsewhere: bool, work: Path | None) -> int:
    from proxx.contracts.error_bases import ProxxError
    from proxx.proof.compare import Comparison, compare_clip
    from proxx.proof.sample import SampleScope, SampleTally, sample

    store = store_from_options()
    tally, counts = SampleTally(), Counter[Comparison]()
    failure: ProxxError | None = None
    with the_yard(work) as yard:
        host = yard.worker.host
        wanted = SampleScope(share=share, since=since, not_made_on=host if elsewhere else None)
        stream = Streamed("clips", {"store": store.uri, "host": host}) if current_settings().json else None
        if stream is None:
            made = f" that were made on another machine than this one ({safe(host)})" if elsewhere else ""
            out(f"Encoding again {percent(share)} of the clips of all finished jobs{made}, by their fingerprints.")
        try:
            for found in sample(store, wanted, tally, yard.should_stop):
                judged = watched(compare_clip, found, yard)
                counts[judged.verdict] += 1
                if stream is not None:
                    stream.row(_data(judged))
                else:
                    _say(judged)
        except ProxxError as why:  # what was judged until then is told all the same
            failure = why
    failure = failure or _verdict(counts)
    if stream is not None:
        from proxx.console.failures import failure_data

        said: dict[str, Json] = {"counts": {each.value: counts[each] for each in Comparison}, **tally_of(tally)}
        said["reproduced"] = failure is None
        stream.end({**said, "error": failure_data(failure)} if failure else said)
        return failure.status if failure else 0
    _sum_up(counts, tally, host)
    if failure is not None:
        raise failure
    return 0


def percent(share: Fraction) -> str:
    return f"{float(share * 100):g}%"


def _verdict(counts: Counter[Comparison]) -> ProxxError | None:
    from proxx.contracts.errors import ReproduceIncomplete, ReproduceMismatch
    from proxx.proof.compare import Comparison

    differ, unjudged = counts[Comparison.DIFFERS], counts[Comparison.NOT_JUDGED]
    if differ:
        return ReproduceMismatch(message=f"{differ} of {plural(counts.total(), 'clip')} did not come out the same.")
    if unjudged:
        return ReproduceIncomplete(message=f"{unjudged} of {plural(counts.total(), 'clip')} cannot be judged here.")
    return None


def _say(judged: ComparedClip) -> None:
    from proxx.proof.sample import SampledClip

    made = judged.of.made_by if isinstance(judged.of, SampledClip) else None
    by = f"  made by {safe(made)}" if made else ""
    out(f"{judged.verdict:<10}  {which(judged.of)}{by}")
    if judged.problem is not None:
        kept = f" Kept: {safe(judged.kept)}" if judged.kept else ""
        out(f"            {judged.problem.code}: {safe(judged.problem.message)}{kept}")


def _sum_up(counts: Counter[Comparison], tally: SampleTally, host: str) -> None:
    from proxx.proof.compare import Comparison

    of = f"{counts.total():,} of {plural(tally.clips, 'clip')} of {plural(tally.jobs, 'finished job')}"
    out(
        f"Encoded again: {of}. {counts[Comparison.SAME]:,} the same, {counts[Comparison.DIFFERS]:,} different, "
        f"{counts[Comparison.NOT_JUDGED]:,} not judged."
    )
    if told := left_out(tally, host):
        out(f"Left out: {'; '.join(told)}.")


def _data(judged: ComparedClip) -> dict[str, Json]:
    return {
        **place_of(judged.of),
        "verdict": judged.verdict.value,
        "found_sha256": judged.found,
        "kept": str(judged.kept) if judged.kept else None,
        "problem": problem_of(judged.problem),
    }
