"""What can go wrong between a job and Prefect: one class for each outcome, with exit status and remedy."""

from __future__ import annotations

from typing import ClassVar

from proxx.contracts.error_bases import ProxxError, Refusal


class PrefectUnreachable(Refusal):
    """The Prefect API does not answer, or rejects the login."""

    code = "PREFECT_UNREACHABLE"
    status: ClassVar[int] = 6
    remedy = "Check PREFECT_API_URL and PREFECT_API_AUTH_STRING, and that the server runs (`prefect server start`)."


class DeploymentMissing(Refusal):
    """The server has no deployment with this name."""

    code = "DEPLOYMENT_MISSING"
    status: ClassVar[int] = 6
    remedy = "Run `prefect deploy --all` in the folder that holds prefect.yaml, once for each server."


class RunRefused(Refusal):
    """The server does not accept a run with these parameters: its deployment is of another version of proxx."""

    code = "RUN_REFUSED"
    status: ClassVar[int] = 6
    remedy = "Run `prefect deploy --all` again, so that the server has the flows of this version."


class AskedWrongly(Refusal):
    """The parameters of a run do not name exactly one attempt of one job."""

    code = "ASKED_WRONGLY"
    status: ClassVar[int] = 2
    remedy = "Start the run with either a registered job (store, job_id, attempt) or a whole spec. Nothing was begun."


class StoreNotShared(Refusal):
    """The store is not one that all machines of a pool reach: none is named, or it is in a user's home folder."""

    code = "STORE_NOT_SHARED"
    status: ClassVar[int] = 6
    remedy = "Name a store that all workers reach with --store or PROXX_STORE."


class ServerNotStarted(Refusal):
    """The Prefect server of a demonstration does not start."""

    code = "SERVER_NOT_STARTED"
    status: ClassVar[int] = 6
    remedy = "Read server.log in the demonstration's prefect folder; then remove that folder and try again."


class RunLost(ProxxError):
    """A run ended without a result: its machine died, somebody cancelled it, or it never started."""

    code = "RUN_LOST"
    remedy = (
        "`proxx status` shows how far the job got and `proxx audit` what to do. Nothing is run again automatically."
    )


class RunEnded(Refusal):
    """The run of this attempt ended before it began the attempt: it was refused, cancelled or it crashed."""

    code = "RUN_ENDED"
    status: ClassVar[int] = 4
    remedy = "Fix what stopped it (`proxx history JOB` shows it), then submit the job with --again."


class AgainRefused(Refusal):
    """--again was given for an attempt that has no run which ended before it began the attempt."""

    code = "AGAIN_REFUSED"
    status: ClassVar[int] = 4
    remedy = "`proxx audit` shows what each job needs."
