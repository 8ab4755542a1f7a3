"""Creates the deployment `proxy-job/proxx` on a test's server like `prefect deploy --all`, without its process."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.flows import Flow
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.utilities.callables import parameter_schema
from proxx_flows.proxy_job import proxy_job

from tests.flows.server import Server

POOL: Final = "proxx"
ENTRYPOINT: Final = "proxx_flows.proxy_job.proxy_job"


def deploy(server: Server, pool: str = POOL) -> str:
    """Creates the work pool and the deployment unless they exist, and returns the deployment's id."""
    with temporary_settings({PREFECT_API_URL: server.url}), get_client(sync_client=True) as client:
        with suppress(ObjectAlreadyExists):
            client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        return deployment_of(client, proxy_job, ENTRYPOINT, pool)


def deployment_of(client: SyncPrefectClient, flow: Flow[Any, Any], entrypoint: str, pool: str) -> str:
    """Creates the deployment of this flow and returns its id."""
    flow_id = client.create_flow_from_name(flow.name)
    deployment_id = client.create_deployment(
        flow_id=flow_id,
        name="proxx",
        work_pool_name=pool,
        entrypoint=entrypoint,
        pull_steps=[],
        tags=["proxx"],
        parameter_openapi_schema=parameter_schema(flow).model_dump_for_openapi(),
        enforce_parameter_schema=True,
    )
    return str(deployment_id)
