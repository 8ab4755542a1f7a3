"""`proxx audit`: compare the store with Prefect, and show the jobs that need a decision."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final

import click

from proxx.console.output import out
from proxx.console.settings import current_settings, json_option, since_option, store_option
from proxx.console.wording import plural, safe, short_id
from proxx.store.status import State
from proxx_flows.cli.prefect_logging import prefect_quiet

if TYPE_CHECKING:
    from proxx.contracts.canonical import Json
    from proxx_flows.audit.audit import Audit, AuditTally
    from proxx_flows.audit.finding import AuditFinding

DECIDE: Final = 1
SHOWN_STATES: Final = (State.DAMAGED, State.UNLOCKED, State.RETIRED)
"""States of the ledger that no verdict is named after: the counts show them within a verdict."""


@click.command()
@since_option
@click.option("--all", "everything", is_flag=True, help="Show all jobs, not only those that need attention.")
@store_option
@json_option
def audit(since: date | None, everything: bool) -> int:
    """Compare the store with Prefect and show every job that needs a decision. Changes nothing.

    Each job has one verdict: WAITING, RUNNING, COMPLETED, FAILED, HELD (an attempt is open and no run in Prefect
    works on it), LOST (there is no result and nothing will produce one), UNKNOWN_TO_PREFECT or UNKNOWN_TO_STORE.

    The exit status is 0 if no job needs a decision, otherwise 1.
    """
    from proxx_flows.common.errors import StoreNotShared
    from proxx_flows.common.shared_store import open_shared_store

    try:
        store = open_shared_store(current_settings().store)
    except StoreNotShared as error:
        error.add_note("`proxx status` shows the jobs of this user's own store; Prefect has no runs for them.")
        raise
    with prefect_quiet():
        from proxx_flows.audit.audit import AuditTally, audit_store
        from proxx_flows.common import connection

        tally = AuditTally()
        store_argument = None if current_settings().store is None else store.uri
        store_audit = audit_store(store, since=since, store_argument=store_argument)
        connection.require_prefect()
        with connection.connected():
            findings = store_audit.findings(tally)
            shown = (finding for finding in findings if everything or finding.decide or finding.differs)
            if current_settings().json:
                _as_json(shown, store_audit, tally)
            else:
                _as_text(shown, store_audit, tally)
        return DECIDE if tally.decide else 0


def _as_text(shown: Iterator[AuditFinding], store_audit: Audit, tally: AuditTally) -> None:
    for finding in shown:
        attempt = f"  attempt {finding.attempt}" if finding.attempt is not None else ""
        mark = "" if finding.decide else "  (nothing to decide)"
        out(f"{short_id(finding.job_id)}  {finding.verdict}{attempt}{mark}")
        out(f"    {safe(finding.explanation)}")
        for step in finding.steps:
            out(f"    {step.when}:")
            out(f"        {safe(step.command)}")
        out()
    for line in _counts(tally, store_audit):
        out(line)


def _counts(tally: AuditTally, store_audit: Audit) -> Iterator[str]:
    """Yields the summary: the number of jobs with each verdict, what was left out, and how many need a decision."""
    verdicts = []
    for verdict, count in sorted(tally.verdicts.items()):
        states = [(state, tally.states[verdict, state]) for state in SHOWN_STATES]
        inner = ", ".join(f"{number} {state.lower()}" for state, number in states if number)
        verdicts.append(f"{count:,} {verdict}" + (f" ({inner})" if inner else ""))
    jobs = f"{plural(tally.jobs, 'job')} in {safe(store_audit.store.uri)}"
    yield jobs + (f" = {' + '.join(verdicts)}" if verdicts else "")
    if store_audit.since is not None:
        yield f"Left out: jobs that nothing happened to since {store_audit.since}."
    for store, count in sorted(tally.elsewhere.items()):
        yield f"Not of this store: {plural(count, 'run')} of {safe(store)}"
    if tally.nameless:
        yield f"{plural(tally.nameless, 'run')} of proxy-job name no job."
    if tally.decide:
        yield f"{plural(tally.decide, 'job needs a decision', 'jobs need a decision')}."
    else:
        yield "No job needs a decision."


def _as_json(shown: Iterator[AuditFinding], store_audit: Audit, tally: AuditTally) -> None:
    """Prints one object. Its jobs are kept on disk until all are known, so that memory does not grow with them."""
    with TemporaryFile("w+", encoding="ascii") as kept:
        comma = ""
        for finding in shown:
            kept.write(comma + json.dumps(as_data(finding)) + "\n")
            comma = ","
        head: dict[str, Json] = {
            "store": store_audit.store.uri,
            "store_uuid": store_audit.store_id.uuid,
            "since": store_audit.since.isoformat() if store_audit.since else None,
            "counts": counts_as_data(tally),
        }
        out(json.dumps(head).removesuffix("}") + ', "jobs": [')
        kept.seek(0)
        for line in kept:
            out(line.rstrip("\n"))
        out("]}")


def as_data(finding: AuditFinding) -> dict[str, Json]:
    return {
        "job_id": finding.job_id,
        "verdict": finding.verdict.value,
        "ledger": finding.state.value if finding.state is not None else None,
        "attempt": finding.attempt,
        "needs_decision": finding.decide,
        "differs": finding.differs,
        "since": finding.since,
        "said": finding.explanation,
        "steps": [{"when": step.when, "command": step.command} for step in finding.steps],
        "runs": list(finding.runs),
    }


def counts_as_data(tally: AuditTally) -> dict[str, Json]:
    """Returns the counts. `verdicts` has every verdict, and `jobs` is their sum."""
    from proxx_flows.audit.finding import JobVerdict

    return {
        "jobs": tally.jobs,
        "verdicts": {verdict.value: tally.verdicts[verdict] for verdict in JobVerdict},
        "need_decision": tally.decide,
        "differ": tally.differs,
        "runs_of_other_stores": dict(sorted(tally.elsewhere.items())),
        "runs_without_a_job": tally.nameless,
    }
