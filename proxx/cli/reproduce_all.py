"""`proxx reproduce --all`: encodes a sample of the clips of all finished jobs again and compares the bytes."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

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
from proxx.console.output import out
from proxx.console.settings import current_settings, no_store_yet, store_from_options
from proxx.console.wording import plural, safe

if TYPE_CHECKING:
    from datetime import date

    from proxx.contracts.canonical import Json
    from proxx.contracts.error_bases import ProxxError
    from proxx.proof.compare import ComparedClip, Comparison
    from proxx.proof.sample import SampleTally


def reproduce_all(share: Fraction, since: date | None, elsewhere: bool, work: Path | None) -> int:
    """Runs `reproduce --all` and returns its exit status. elsewhere: only clips that another host made."""
    from proxx.contracts.error_bases import ProxxError
    from proxx.proof.compare import Comparison, compare_clip
    from proxx.proof.sample import SampleScope, SampleTally, sample

    store = store_from_options()
    if not current_settings().json and (missing := no_store_yet(store)):
        out(missing)
        return 0
    tally, counts = SampleTally(), Counter[Comparison]()
    failure: ProxxError | None = None
    with reencode_session(work) as session:
        host = session.worker.host
        scope = SampleScope(share=share, since=since, not_made_on=host if elsewhere else None)
        stream = Streamed("clips", {"store": store.uri, "host": host}) if current_settings().json else None
        if stream is None:
            only = f" Only clips made on another machine than this one ({safe(host)})." if elsewhere else ""
            percent = f"{float(share * 100):g}%"
            out(f"Encoding {percent} of the clips of all finished jobs again, chosen by their fingerprints.{only}")
        try:
            for item in sample(store, scope, tally, session.should_stop):
                compared = with_bar(compare_clip, item, session)
                counts[compared.verdict] += 1
                if stream is not None:
                    stream.row(_data(compared))
                else:
                    _print_clip(compared)
        except ProxxError as error:  # reported below, after the clips compared so far
            failure = error
    failure = failure or _failure(counts)
    if stream is not None:
        from proxx.console.failures import failure_data

        totals: dict[str, Json] = {"counts": {each.value: counts[each] for each in Comparison}, **tally_json(tally)}
        totals["reproduced"] = failure is None
        stream.end({**totals, "error": failure_data(failure)} if failure else totals)
        return failure.status if failure else 0
    _print_totals(counts, tally, host)
    if failure is not None:
        raise failure
    return 0


def _failure(counts: Counter[Comparison]) -> ProxxError | None:
    from proxx.contracts.errors import ReproduceIncomplete, ReproduceMismatch
    from proxx.proof.compare import Comparison

    different, not_judged = counts[Comparison.DIFFERS], counts[Comparison.NOT_JUDGED]
    clips = plural(counts.total(), "clip")
    if different:
        return ReproduceMismatch(message=f"{different} of {clips} gave different bytes.")
    if not_judged:
        return ReproduceIncomplete(message=f"{not_judged} of {clips} cannot be compared on this machine.")
    return None


def _print_clip(compared: ComparedClip) -> None:
    from proxx.proof.sample import SampledClip

    worker = compared.of.made_by if isinstance(compared.of, SampledClip) else None
    made_by = f"  made by {safe(worker)}" if worker else ""
    out(f"{compared.verdict:<10}  {item_label(compared.of)}{made_by}")
    if compared.problem is not None:
        kept = f" Kept: {safe(compared.kept)}" if compared.kept else ""
        out(f"            {compared.problem.code}: {safe(compared.problem.message)}{kept}")


def _print_totals(counts: Counter[Comparison], tally: SampleTally, host: str) -> None:
    from proxx.proof.compare import Comparison

    clips = f"{counts.total():,} of {plural(tally.clips, 'clip')} of {plural(tally.jobs, 'finished job')}"
    out(
        f"Encoded again: {clips}. {counts[Comparison.SAME]:,} the same, {counts[Comparison.DIFFERS]:,} different, "
        f"{counts[Comparison.NOT_JUDGED]:,} not judged."
    )
    if skipped := skipped_jobs(tally, host):
        out(f"Left out: {'; '.join(skipped)}.")


def _data(compared: ComparedClip) -> dict[str, Json]:
    return {
        **item_json(compared.of),
        "verdict": compared.verdict.value,
        "found_sha256": compared.found,
        "kept": str(compared.kept) if compared.kept else None,
        "problem": problem_json(compared.problem),
    }
