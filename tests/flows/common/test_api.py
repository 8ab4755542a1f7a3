"""The API as proxx uses it: one run for each key, complete pages, and errors that show no secret."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.states import Scheduled
from proxx_flows.common import api, connection
from proxx_flows.common.errors import DeploymentMissing, PrefectUnreachable, RunRefused
from proxx_flows.common.reference import JobReference, idempotency_key

from tests.flows.deploy import deploy
from tests.flows.server import Server, free_port

SECRET = "never-to-be-shown"  # noqa: S105  (must not be in any message)


@pytest.fixture(scope="module")
def deployment(server: Server) -> str:
    return deploy(server)


@pytest.fixture
def deployed(prefect: Server, deployment: str) -> str:
    """The deployment's id; this process talks to its server."""
    return deployment


def reference(number: int = 0, store: str = "") -> JobReference:
    return JobReference(
        store="file:///store", job_id=f"{number:064x}", attempt=1, store_uuid=store or str(uuid.uuid4())
    )


def test_a_key_has_one_run_and_shows_which_call_created_it(deployed: str) -> None:
    ref = reference()
    with connection.connected():
        first = api.create_run(deployed, ref, dispatch=1, name="one", tags=("A", "B"))
        second = api.create_run(deployed, ref, dispatch=1, name="other", tags=("C",))
        third = api.create_run(deployed, ref, dispatch=2, name="one", tags=("A", "B"))
    assert (first.created, second.created, third.created) == (True, False, True)
    assert (second.run.id, second.run.name) == (first.run.id, "one")
    assert third.run.id != first.run.id
    assert first.run.key == idempotency_key(ref, 1)
    assert sorted(first.run.tags) == ["A", "B", "proxx"]
    assert (first.run.parameters["reference"], first.run.state_type) == (ref.model_dump(), "SCHEDULED")
    assert api.get_run(first.run.id) == second.run


def test_runs_are_found_by_key_id_and_tag(deployed: str) -> None:
    store = str(uuid.uuid4())
    runs = [
        api.create_run(deployed, reference(n, store), dispatch=1, name="x", tags=(f"{store}:{n}",)).run
        for n in range(3)
    ]
    keys = [run.key or "" for run in runs]
    assert api.runs_by_keys([*keys, "nobody's"]) == dict(zip(keys, runs, strict=True))
    by_ids = api.runs_by_ids([run.id for run in runs] + [str(uuid.uuid4()), "not an id", ""])
    assert {run.id: run for run in by_ids} == {run.id: run for run in runs}
    assert list(api.runs_tagged(f"{store}:1")) == [runs[1]]
    assert (api.get_run(str(uuid.uuid4())), api.runs_by_keys([]), list(api.runs_by_ids([]))) == (None, {}, [])


def test_all_runs_come_once_and_oldest_first_with_any_page_size(
    deployed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if more runs have the same time than fit on a page."""
    tag, start = str(uuid.uuid4()), datetime.now(UTC) + timedelta(days=300)
    times = [start] * 7 + [start + timedelta(seconds=n) for n in range(1, 6)]
    flow = uuid.UUID(deployed)
    with get_client(sync_client=True) as client:
        states: list[State[None]] = [Scheduled(scheduled_time=at) for at in times]
        ids = [str(client.create_flow_run_from_deployment(flow, state=s, tags=[tag]).id) for s in states]
    for size in (2, 3, 200):
        monkeypatch.setattr(api, "PAGE", size)
        tagged = [run.id for run in api.runs_tagged(tag)]
        assert (sorted(tagged[:7]), tagged[7:]) == (sorted(ids[:7]), ids[7:])
    assert [run.id for run in api.runs_of_flow() if tag in run.tags][7:] == ids[7:]
    later = {run.id for run in api.runs_of_flow(since=(start + timedelta(days=1)).date())}
    assert later.isdisjoint(ids)
    assert set(ids) <= {run.id for run in api.runs_of_flow(since=start.date())}


def test_a_missing_deployment_and_a_wrong_reference_are_named(deployed: str) -> None:
    known = api.find_deployment()
    assert (known.id, known.name, known.work_pool) == (deployed, "proxy-job/proxx", "proxx")
    with pytest.raises(DeploymentMissing):
        api.find_deployment("proxy-job/nobody")
    wrong = JobReference.model_construct(store="", job_id="no id", attempt=1, store_uuid="x")
    with pytest.raises(RunRefused, match="reference"):
        api.create_run(deployed, wrong, dispatch=1, name="x")


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """An HTTP server that is not Prefect: it gives one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://user:{SECRET}@127.0.0.1:{server.server_port}/api"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def refused() -> PrefectUnreachable:
    with (
        temporary_settings({PREFECT_API_AUTH_STRING: f"admin:{SECRET}"}),
        pytest.raises(PrefectUnreachable) as raised,
    ):
        connection.require_prefect()
        api.find_deployment()
    error = raised.value
    assert SECRET not in f"{error} {error!r} {error.__cause__!r} {error.detail}"
    assert error.status == 6
    return error


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, b'{"exception_message": "Unauthorized"}', "The Prefect API refuses the login."),
        (403, b"no", "The Prefect API refuses the login."),
        (500, b"", "The Prefect API answers with an error."),
        (200, b"<html>", "This is not a Prefect API of a version that proxx supports."),
        (200, b"{}", "This is not a Prefect API of a version that proxx supports."),
    ],
)
def test_an_unusable_answer_is_reported(status: int, body: bytes, message: str) -> None:
    with answering(status, body) as url, temporary_settings({PREFECT_API_URL: url}):
        assert refused().message == message


def test_a_server_that_is_not_running() -> None:
    port = free_port()
    with temporary_settings({PREFECT_API_URL: f"http://user:{SECRET}@127.0.0.1:{port}/api"}):
        error = refused()
    assert (error.message, error.detail) == (
        "The Prefect API does not answer.",
        f"http://127.0.0.1:{port}/api: Connection refused",
    )


def test_a_server_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/api"
        with temporary_settings({PREFECT_API_URL: url}):
            assert refused().detail == f"{url}: no answer in time"


def test_without_an_api_url_no_server_is_started() -> None:
    """Prefect would start a server of its own, which no worker polls."""
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        assert refused().message == "No Prefect server is named: PREFECT_API_URL is not set."


def test_other_errors_of_the_block_are_raised_unchanged(prefect: Server) -> None:
    with pytest.raises(FileNotFoundError), connection.connected():
        raise FileNotFoundError("not Prefect's")
