"""What can go wrong between a job and Prefect: one class an outcome, exit status, what to do."""

from __future__ import annotations

from typing import ClassVar

from proxx.contracts.error_bases import ProxxError, Refusal


class PrefectUnreachable(Refusal):
    """The Prefect API does not answer, or refuses the login."""

    code = "PREFECT_UNREACHABLE"
    status: ClassVar[int] = 6
    remedy = "Check PREFECT_API_URL and PREFECT_API_AUTH_STRING, and that the server runs (`prefect server start`)."


class DeploymentMissing(Refusal):
    """The server does not know the deployment that runs jobs."""

    code = "DEPLOYMENT_MISSING"
    status: ClassVar[int] = 6
    remedy = "Run `prefect deploy --all` in the folder of prefect.yaml, once for each server."


class RunRefused(Refusal):
    """The server does not take a run with these parameters: it has another version's deployment."""

    code = "RUN_REFUSED"
    status: ClassVar[int] = 6
    remedy = "Run `prefect deploy --all` again, so that the server knows the flow of this version."


class AskedWrongly(Refusal):
    """The parameters of a run do not name one attempt of one job."""

    code = "ASKED_WRONGLY"
    status: ClassVar[int] = 2
    remedy = "Give a reference {store, job_id, attempt}, or a whole spec, its store and attempt. Nothing was begun."


class StoreNotShared(Refusal):
    """The default store is in one user's home: the machines of a pool do not share it."""

    code = "STORE_NOT_SHARED"
    status: ClassVar[int] = 6
    remedy = "Name a store that all workers reach with --store or PROXX_STORE."


class ServerNotStarted(Refusal):
    """Prefect's own server, started here for a demonstration, does not come up."""

    code = "SERVER_NOT_STARTED"
    status: ClassVar[int] = 6
    remedy = "Read server.log in the demonstration's prefect folder; then remove that folder and try again."


class RunLost(ProxxError):
    """A run ended and left no result: its machine died, somebody cancelled it, or it never began."""

    code = "RUN_LOST"
    remedy = "`proxx status` says how far it got, `proxx audit` what to do; nothing is run again by itself."


class RunEnded(Refusal):
    """The run that was asked for has ended, and the attempt was never begun: refused, cancelled or crashed before."""

    code = "RUN_ENDED"
    status: ClassVar[int] = 4
    remedy = "Mend what stopped it (`proxx history JOB` tells), then submit it with --again."


class AgainRefused(Refusal):
    """--again is for an attempt whose run has ended without beginning it, and this is none."""

    code = "AGAIN_REFUSED"
    status: ClassVar[int] = 4
    remedy = "`proxx audit` says what each job needs."
