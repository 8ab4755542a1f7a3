"""`proxx audit`: the store against Prefect, every job named, what needs a decision said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final

import click

from proxx.console.settings import current_settings, json_option, since_option, store_option
from proxx.console.wording import out, plural, safe, short_id
from proxx.store.status import State
from proxx_flows.cli.prefect_logging import prefect_quiet

if TYPE_CHECKING:
    from proxx.contracts.canonical import Json
    from proxx_flows.audit.audit import Audit, AuditTally
    from proxx_flows.audit.finding import AuditFinding

DECIDE: Final = 1
TOLD: Final = (State.DAMAGED, State.UNLOCKED, State.RETIRED)
"""States of the ledger that no verdict has the name of."""


@click.command()
@since_option
@click.option("--all", "everything", is_flag=True, help="Show also the jobs that need nothing.")
@store_option
@json_option
def audit(since: date | None, everything: bool) -> int:
    """Compare the store with Prefect and name every job that needs a decision. Changes nothing.

    Every job is one of WAITING, RUNNING, COMPLETED, FAILED, HELD (an attempt is open and nothing in Prefect runs
    it), LOST (no result, and nothing that works on one), UNKNOWN_TO_PREFECT, UNKNOWN_TO_STORE. The exit status is
    0 where nothing needs a decision, else 1.
    """
    from proxx_flows.common.errors import StoreNotShared
    from proxx_flows.common.shared_store import open_shared_store

    try:
        store = open_shared_store(current_settings().store)
    except StoreNotShared as why:
        why.add_note("`proxx status` shows the jobs of this user's own store; Prefect knows nothing of them.")
        raise
    with prefect_quiet():
        from proxx_flows.audit.audit import AuditTally, audit_store
        from proxx_flows.common import connection

        tally = AuditTally()
        looking = audit_store(store, since=since, say_store=None if current_settings().store is None else store.uri)
        connection.require_prefect()
        with connection.connected():
            shown = (found for found in looking.findings(tally) if everything or found.decide or found.differs)
            if current_settings().json:
                _as_json(shown, looking, tally)
            else:
                _as_words(shown, looking, tally)
        return DECIDE if tally.decide else 0


def _as_words(shown: Iterator[AuditFinding], looking: Audit, tally: AuditTally) -> None:
    for found in shown:
        attempt = f"  attempt {found.attempt}" if found.attempt is not None else ""
        mark = "" if found.decide else "  (nothing to decide)"
        out(f"{short_id(found.job_id)}  {found.verdict}{attempt}{mark}")
        out(f"    {safe(found.said)}")
        for step in found.steps:
            out(f"    {step.when}:")
            out(f"        {safe(step.command)}")
        out()
    for line in _counts(tally, looking):
        out(line)


def _counts(tally: AuditTally, looking: Audit) -> Iterator[str]:
    """The summary: every kind there is of, and the sum."""
    kinds = []
    for verdict, count in sorted(tally.verdicts.items()):
        told = [(state, tally.states[verdict, state]) for state in TOLD]
        inner = ", ".join(f"{n} {state.lower()}" for state, n in told if n)
        kinds.append(f"{count:,} {verdict}" + (f" ({inner})" if inner else ""))
    yield f"{plural(tally.jobs, 'job')} in {safe(looking.store.uri)}" + (f" = {' + '.join(kinds)}" if kinds else "")
    if looking.since is not None:
        yield f"Left out: jobs nothing happened to since {looking.since}."
    for store, count in sorted(tally.elsewhere.items()):
        yield f"Not of this store: {plural(count, 'run')} of {safe(store)}"
    if tally.nameless:
        yield f"{plural(tally.nameless, 'run')} of proxy-job name no job."
    if tally.decide:
        yield f"{plural(tally.decide, 'job needs a decision', 'jobs need a decision')}."
    else:
        yield "Nothing needs a decision."


def _as_json(shown: Iterator[AuditFinding], looking: Audit, tally: AuditTally) -> None:
    """One object, printed when it is whole; until then its jobs are kept on disk, so that memory does not grow."""
    with TemporaryFile("w+", encoding="ascii") as kept:
        comma = ""
        for found in shown:
            kept.write(comma + json.dumps(as_data(found)) + "\n")
            comma = ","
        head: dict[str, Json] = {
            "store": looking.store.uri,
            "store_uuid": looking.store_id.uuid,
            "since": looking.since.isoformat() if looking.since else None,
            "counts": counts_as_data(tally),
        }
        out(json.dumps(head).removesuffix("}") + ', "jobs": [')
        kept.seek(0)
        for line in kept:
            out(line.rstrip("\n"))
        out("]}")


def as_data(found: AuditFinding) -> dict[str, Json]:
    return {
        "job_id": found.job_id,
        "verdict": found.verdict.value,
        "ledger": found.state.value if found.state is not None else None,
        "attempt": found.attempt,
        "needs_decision": found.decide,
        "differs": found.differs,
        "since": found.since,
        "said": found.said,
        "steps": [{"when": step.when, "command": step.command} for step in found.steps],
        "runs": list(found.runs),
    }


def counts_as_data(tally: AuditTally) -> dict[str, Json]:
    """`jobs` is the sum of `verdicts`, which has all of them."""
    from proxx_flows.audit.finding import JobVerdict

    return {
        "jobs": tally.jobs,
        "verdicts": {verdict.value: tally.verdicts[verdict] for verdict in JobVerdict},
        "need_decision": tally.decide,
        "differ": tally.differs,
        "runs_of_other_stores": dict(sorted(tally.elsewhere.items())),
        "runs_without_a_job": tally.nameless,
    }
