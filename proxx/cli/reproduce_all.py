"""`proxx reproduce --all`: the fleet's own audit, clips of every finished job encoded again and compared."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from proxx.cli.json_stream import Streamed
from proxx.cli.reencoding import left_out, place_of, problem_of, tally_of, the_yard, watched, which
from proxx.console.settings import current, the_store
from proxx.console.wording import many, out, safe

if TYPE_CHECKING:
    from datetime import date

    from proxx.contracts.canonical import Json
    from proxx.contracts.error_bases import ProxxError
    from proxx.proof.compare import Judged, Verdict
    from proxx.proof.sample import Tally


def audit_all(share: Fraction, since: date | None, elsewhere: bool, work: Path | None) -> int:
    from proxx.contracts.error_bases import ProxxError
    from proxx.proof.compare import Verdict, judge
    from proxx.proof.sample import Tally, Wanted, sample

    store = the_store()
    tally, counts = Tally(), Counter[Verdict]()
    failure: ProxxError | None = None
    with the_yard(work) as yard:
        host = yard.worker.host
        wanted = Wanted(share=share, since=since, not_made_on=host if elsewhere else None)
        stream = Streamed("clips", {"store": store.uri, "host": host}) if current().json else None
        if stream is None:
            made = f" that were made on another machine than this one ({safe(host)})" if elsewhere else ""
            out(f"Encoding again {percent(share)} of the clips of all finished jobs{made}, by their fingerprints.")
        try:
            for found in sample(store, wanted, tally, yard.should_stop):
                judged = watched(judge, found, yard)
                counts[judged.verdict] += 1
                if stream is not None:
                    stream.row(_data(judged))
                else:
                    _say(judged)
        except ProxxError as why:  # what was judged until then is told all the same
            failure = why
    failure = failure or _verdict(counts)
    if stream is not None:
        from proxx.console.failures import as_data

        said: dict[str, Json] = {"counts": {each.value: counts[each] for each in Verdict}, **tally_of(tally)}
        said["reproduced"] = failure is None
        stream.end({**said, "error": as_data(failure)} if failure else said)
        return failure.status if failure else 0
    _sum_up(counts, tally, host)
    if failure is not None:
        raise failure
    return 0


def percent(share: Fraction) -> str:
    return f"{float(share * 100):g}%"


def _verdict(counts: Counter[Verdict]) -> ProxxError | None:
    from proxx.contracts.errors import ReproduceIncomplete, ReproduceMismatch
    from proxx.proof.compare import Verdict

    differ, unjudged = counts[Verdict.DIFFERS], counts[Verdict.NOT_JUDGED]
    if differ:
        return ReproduceMismatch(message=f"{differ} of {many(counts.total(), 'clip')} did not come out the same.")
    if unjudged:
        return ReproduceIncomplete(message=f"{unjudged} of {many(counts.total(), 'clip')} cannot be judged here.")
    return None


def _say(judged: Judged) -> None:
    from proxx.proof.sample import Pick

    made = judged.of.made_by if isinstance(judged.of, Pick) else None
    by = f"  made by {safe(made)}" if made else ""
    out(f"{judged.verdict:<10}  {which(judged.of)}{by}")
    if judged.problem is not None:
        kept = f" Kept: {safe(judged.kept)}" if judged.kept else ""
        out(f"            {judged.problem.code}: {safe(judged.problem.message)}{kept}")


def _sum_up(counts: Counter[Verdict], tally: Tally, host: str) -> None:
    from proxx.proof.compare import Verdict

    of = f"{counts.total():,} of {many(tally.clips, 'clip')} of {many(tally.jobs, 'finished job')}"
    out(
        f"Encoded again: {of}. {counts[Verdict.SAME]:,} the same, {counts[Verdict.DIFFERS]:,} different, "
        f"{counts[Verdict.NOT_JUDGED]:,} not judged."
    )
    if told := left_out(tally, host):
        out(f"Left out: {'; '.join(told)}.")


def _data(judged: Judged) -> dict[str, Json]:
    return {
        **place_of(judged.of),
        "verdict": judged.verdict.value,
        "found_sha256": judged.found,
        "kept": str(judged.kept) if judged.kept else None,
        "problem": problem_of(judged.problem),
    }
