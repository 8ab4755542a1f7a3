"""A store in a bucket: lost answers, servers that overwrite, resends, refusals by cause, and no secrets."""

from __future__ import annotations

import datetime
import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import botocore.auth
import pytest

from proxx.contracts.errors import StoreDamaged, StoreRefused, StoreUnavailable
from proxx.s3.faults import Cause, StorageFault
from proxx.s3.incidents import IncidentJournal
from proxx.s3.transport import PATIENCE_SECONDS, PAUSES, Transport
from proxx.store.base import Store
from proxx.store.keys import STORE_KEY
from proxx.store.opening import initialize_store, open_store, store_identity
from proxx.store.s3 import S3Store, longest_create
from tests.objects.endpoint import Bucket, Endpoint, Keys
from tests.objects.kinds import Kind, speaking_to
from tests.objects.line import HASTY, PATIENT, Line, noted
from tests.objects.rgw import Rgw
from tests.objects.rules import Action, Answer, Before, LoseAnswer, Reset, StallAnswer, Strip
from tests.s3.test_transport import in_a_child

WRITTEN: tuple[Action, ...] = (LoseAnswer(), StallAnswer())
"""The server carries out the request, and its answer is lost."""


def stored(line: Line, store: S3Store, key: str) -> bytes:
    return line.bucket.get(f"{store.uri.removeprefix(f'{line.bucket.url}/')}/{key}")


# --- answers that were lost ---------------------------------------------------------------------------------


@pytest.mark.parametrize("resends", [0, 1])
@pytest.mark.parametrize("action", WRITTEN)
def test_a_create_whose_answer_is_lost_is_ours(line: Line, action: Action, resends: int) -> None:
    """With and without resends. The nonce tells this call's object from another client's."""
    store = line.store(resends, HASTY if isinstance(action, StallAnswer) else PATIENT)
    line.way.on(action, method="PUT")
    assert store.create("a/b", b"mine") is None
    assert stored(line, store, "a/b") == b"mine"
    place = f"{store.uri}/a/b"
    cause = Cause.SILENT if isinstance(action, StallAnswer) else Cause.CUT
    again = [("resent", "PutObject", place, cause, 1)] if resends else []
    settled = ("settled", "PutObject", place, Cause.EXISTS if resends else cause, None)
    assert noted(store.wire) == [*again, settled]
    assert store.create("a/b", b"again") == b"mine"


@pytest.mark.parametrize("resends", [0, 1])
def test_a_create_whose_refusal_is_lost_is_not_ours(line: Line, resends: int) -> None:
    """Equal bytes created by another client are not ours."""
    store = line.store(resends)
    other = line.bucket
    whole = f"{store.uri.removeprefix(f'{other.url}/')}/a/b"
    other.put(whole, b"mine")
    line.way.on(LoseAnswer(), method="PUT")
    assert store.create("a/b", b"mine") == b"mine"
    assert [one[0] for one in noted(store.wire)] == ["resent"] * resends


@pytest.mark.parametrize("action", [Reset(), LoseAnswer(), Answer(500, "InternalError")])
def test_a_check_without_a_refusal_proves_nothing(line: Line, action: Action) -> None:
    """If the check's PUT never arrives, the existing object does not prove that the server would refuse it."""
    made = line.store()
    store = S3Store(line.bucket.name, made.uri.removeprefix(f"{line.bucket.url}/"), line.wire())
    for _ in range(2):
        line.way.on(action, method="PUT")
        with pytest.raises(StoreUnavailable):
            store.create("a", b"")
        line.way.forget()
        assert made.read("a") is None
    assert store.create("a", b"") is None


def test_another_client_creates_the_object_before_the_resend(line: Line) -> None:
    """The request is lost on its way, and another client creates the object before it is sent again."""
    store = line.store(resends=1)
    whole = f"{store.uri.removeprefix(f'{line.bucket.url}/')}/a/b"
    line.way.on(Reset(), method="PUT")
    line.way.on(Before(lambda: line.bucket.put(whole, b"theirs")), method="PUT", nth=2)
    assert store.create("a/b", b"mine") == b"theirs"
    assert noted(store.wire) == [("resent", "PutObject", f"{store.uri}/a/b", Cause.CUT, 1)]


def test_a_create_that_never_arrives_is_reported_as_failed(line: Line) -> None:
    store = line.store(resends=2)
    line.way.on(Reset(), method="PUT", times=None)
    with pytest.raises(StoreUnavailable) as caught:
        store.create("a/b", b"mine")
    assert caught.value.message == (
        "the store could not create an object: the connection to the storage server was cut. "
        "Check the network and the storage server"
    )
    assert caught.value.detail is not None and f"PutObject {store.uri}/a/b" in caught.value.detail
    assert store.read("a/b") is None
    assert [one[4] for one in noted(store.wire)] == [1, 2]


def test_a_create_whose_outcome_stays_unknown_is_reported_as_failed(line: Line) -> None:
    store = line.store(resends=0)
    line.way.on(LoseAnswer(), method="PUT")
    line.way.on(Answer(503, "SlowDown"), method="GET")
    with pytest.raises(StoreUnavailable, match="it is unknown whether the store created an object"):
        store.create("a/b", b"mine")
    assert store.create("a/b", b"mine") == b"mine"  # it exists, and is not mistaken for this call's


@pytest.mark.parametrize("verb", ["read", "list", "children", "walk"])
def test_reads_and_listings_are_sent_again_and_then_fail_with_the_cause(line: Line, verb: str) -> None:
    store = line.store(resends=1)
    store.create("a/b", b"1")
    calls: dict[str, Callable[[], object]] = {
        "read": lambda: store.read("a/b"),
        "list": lambda: store.list("a/"),
        "children": lambda: store.children("a/"),
        "walk": lambda: tuple(store.walk("a/")),
    }
    line.way.on(Answer(500, "InternalError"), method="GET", times=3)
    with pytest.raises(StoreUnavailable, match="the storage server has a fault"):
        calls[verb]()
    assert calls[verb]() in (b"1", ("a/b",), ("b",))
    assert [one[0] for one in noted(store.wire)] == ["resent"] * 2


# --- resends from store.json --------------------------------------------------------------------------------


class Scripted(Transport):
    """Loses the answer of every PUT but that of store.json, which it refuses; counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def call(self, action: str, place: str, *_: object, **__: object) -> Any:  # noqa: ANN401
        self.calls.append(action)
        if action == "GetObject":
            return b"{}", "the nonce of another client"
        fault = StorageFault(Cause.EXISTS if place.endswith(STORE_KEY) else Cause.CUT, action, place)
        fault.uncertain = True
        raise fault


def test_no_create_makes_more_calls_than_its_longest_time_allows_for() -> None:
    wire = Scripted()
    assert S3Store("bucket", "prefix", wire).create("a/b", b"mine") == b"{}"
    assert wire.calls == ["GetObject", "PutObject", "PutObject", "GetObject"]
    assert longest_create(0) == len(wire.calls) * 3 * PATIENCE_SECONDS


@pytest.mark.parametrize(("resends", "pause"), [*enumerate(PAUSES, 1), (6, PAUSES[-1]), (100, PAUSES[-1])])
def test_each_resend_makes_the_longest_create_longer_by_its_pause(resends: int, pause: float) -> None:
    assert longest_create(resends) - longest_create(resends - 1) == 4 * (pause + 3 * PATIENCE_SECONDS)


@pytest.mark.parametrize("resends", [0, 3])
def test_the_resends_in_store_json_apply_from_the_first_request_on(line: Line, resends: int) -> None:
    made = line.store(resends)
    calls: tuple[Callable[[Store], object], ...] = (
        lambda store: store.read("a"),
        lambda store: store.list("a/"),
        lambda store: store.create("a", b""),
    )
    for call in calls:
        wire = line.wire(resends=5)
        store = open_store(made.uri, wire)
        prefix = made.uri.removeprefix(line.bucket.url)
        line.way.on(Answer(503, "SlowDown"), when=lambda one: not one.path.endswith("/store.json"), times=None)
        with pytest.raises(StoreUnavailable):
            call(store)
        assert isinstance(store, S3Store)
        assert store.wire.resends == resends
        assert len([one for one in line.way.requests(path=prefix + "/a") if one.fault]) in (0, 1 + resends)
        assert [one[4] for one in noted(wire)] == list(range(1, resends + 1))


def test_a_store_json_that_could_not_be_read_is_read_again(line: Line) -> None:
    made = line.store(resends=0)
    wire = line.wire(resends=2)
    store = open_store(made.uri, wire)
    line.way.on(Answer(403, "AccessDenied"), path="/store.json$")
    with pytest.raises(StoreUnavailable):
        store.read("a/b")
    assert isinstance(store, S3Store)
    assert store.wire.resends == 2
    assert store.read("a/b") is None
    assert store.wire.resends == 0


def test_a_damaged_store_json_does_not_change_the_resends(line: Line) -> None:
    for record in (b"{", b'{"resends": -1}', b'{"resends": "many"}', b"[]"):
        prefix = line.prefix()
        line.bucket.put(f"{prefix}/store.json", record)
        wire = line.wire(resends=4)
        store = open_store(f"{line.bucket.url}/{prefix}", wire)
        assert store.read("a") is None
        assert isinstance(store, S3Store)
        assert store.wire.resends == 4
        with pytest.raises((StoreDamaged, StoreRefused)):
            store_identity(store)


# --- servers that cannot hold a store ------------------------------------------------------------------------


@pytest.fixture
def lax(request: pytest.FixtureRequest) -> Iterator[Line]:
    """A server that overwrites objects: moto, from which the condition is stripped."""
    line: Line = request.getfixturevalue("moto_line")
    line.way.forget()
    yield line
    line.way.forget()


SENTENCE = "this storage replaces an existing object despite If-None-Match, so two workers could run one job"


def test_a_server_that_overwrites_is_refused_when_a_store_is_initialized(lax: Line) -> None:
    store = S3Store(lax.bucket.name, lax.prefix(), lax.wire())
    lax.way.on(Strip("if-none-match"), method="PUT", times=None)
    with pytest.raises(StoreRefused) as caught:
        initialize_store(store)
    assert (caught.value.code, caught.value.status) == ("STORE_REFUSED", 6)
    assert caught.value.message == SENTENCE
    assert caught.value.detail == f"it must answer 412 Precondition Failed: {store.uri}"


def test_a_server_that_overwrites_is_refused_before_anything_is_written(lax: Line) -> None:
    """Also if the store was initialized by another version, or on another server."""
    made = lax.store()
    before = lax.bucket.contents(made.uri.removeprefix(f"{lax.bucket.url}/"))
    store = open_store(made.uri, lax.wire())
    lax.way.on(Strip("if-none-match"), method="PUT", times=None)
    for _ in range(2):
        with pytest.raises(StoreRefused) as caught:
            store.create("a/b", b"1")
        assert caught.value.message == SENTENCE
    assert lax.bucket.contents(made.uri.removeprefix(f"{lax.bucket.url}/")) == before


def test_a_server_without_conditional_puts_is_refused(line: Line) -> None:
    made = line.store()
    store = open_store(made.uri, line.wire())
    line.way.on(Answer(501, "NotImplemented"), method="PUT", times=None)
    with pytest.raises(StoreRefused, match="does not support If-None-Match"):
        store.create("a/b", b"1")


def test_rgw_refuses_a_request_whose_condition_was_stripped(rgw_line: Line) -> None:
    """The header is signed: moto overwrites the object, a real server refuses the request."""
    store = rgw_line.store()
    rgw_line.way.on(Strip("if-none-match"), method="PUT")
    with pytest.raises(StoreUnavailable, match="the credentials are refused"):
        store.create("first", b"other")
    assert store.read("first") == b""


def test_the_server_is_checked_once(line: Line) -> None:
    made = line.store()
    store = open_store(made.uri, line.wire())
    for number in range(3):
        store.create(f"a/{number}", b"")
    asked = [(one.method, one.path.rpartition("/")[2], one.status) for one in line.way.requests()]
    assert asked == [
        ("GET", "store.json", 200), ("PUT", "store.json", 412),
        ("PUT", "0", 200), ("PUT", "1", 200), ("PUT", "2", 200),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["moto", "rgw"], indirect=True)
def test_nothing_is_created_without_a_store(kind: Kind) -> None:
    store = kind.bare()
    with pytest.raises(StoreUnavailable, match="no store exists here yet"):
        store.create("a/b", b"")
    assert store.list("") == ()


def test_foreign_objects_are_not_listed(line: Line) -> None:
    store = line.store()
    prefix = store.uri.removeprefix(f"{line.bucket.url}/")
    for name in ("a/", "a/B", "a/.hidden", "a/with space", "A/b", "a/b"):
        line.bucket.put(f"{prefix}/{name}", b"")
    assert store.list("a/") == ("a/b",)
    assert store.children("a/") == ("b",)
    assert store.children("") == ("a", "first", "store.json")


def test_listings_of_several_pages_are_complete(rgw_line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxx.s3.bucket.PAGE", 3)
    store = rgw_line.store()
    keys = tuple(f"a/{number}" for number in range(8))
    for key in keys:
        store.create(key, b"")
    assert store.list("a/") == tuple(store.walk("a/")) == keys
    assert tuple(store.walk("a/", after="a/3")) == keys[4:]


# --- a bucket's root, forks ----------------------------------------------------------------------------------


def test_a_store_can_be_the_root_of_a_bucket(rgw: Rgw) -> None:
    bucket = rgw.as_user(rgw.user("rootless")).bucket("rootless").make()
    with speaking_to(bucket.endpoint):
        store = open_store(bucket.url)
        initialize_store(store)
        assert store.create("a/b", b"1") is None
        assert store.uri == bucket.url
        assert open_store(store.uri).list("") == ("a/b", "store.json")
        assert bucket.keys() == ["a/b", "store.json"]


@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_a_store_works_on_both_sides_of_a_fork(line: Line) -> None:
    store = line.store()
    with speaking_to(line.bucket.endpoint.at(line.way.url)):
        assert in_a_child(lambda: repr(store.create("a/child", b"1")).encode()) == b"None"
    assert store.create("a/child", b"2") == b"1"
    assert store.create("a/parent", b"3") is None


# --- refusals ------------------------------------------------------------------------------------------------


def rgw_bucket(rgw: Rgw, node: str) -> Bucket:
    name = hashlib.sha256(node.encode()).hexdigest()[:12]
    return rgw.as_user(rgw.user(name)).bucket(f"bucket-{name}").make()


def owner(bucket: Bucket) -> str:
    return bucket.name.removeprefix("bucket-")


Case = Callable[[Rgw, Bucket], Endpoint]

REFUSALS: dict[str, tuple[Case, str]] = {
    "unknown key": (
        lambda _, bucket: bucket.endpoint.to(Keys("AKNOBODY1234567890", "secretsecretsecret")),
        "the credentials are refused. Check the key, its secret and the endpoint",
    ),
    "wrong secret": (
        lambda _, bucket: bucket.endpoint.to(Keys(bucket.endpoint.keys.access, "wrongwrongwrong")),
        "the credentials are refused. Check the key, its secret and the endpoint",
    ),
    "another user": (
        lambda rgw, bucket: rgw.as_user(rgw.user(f"{owner(bucket)}-other")),
        "these credentials may not do that. Allow it in the bucket's policy or the key's",
    ),
}


@pytest.mark.parametrize("which", REFUSALS)
def test_a_refusal_names_its_cause_and_no_secret(
    rgw: Rgw, request: pytest.FixtureRequest, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = rgw_bucket(rgw, request.node.nodeid)
    case, message = REFUSALS[which]
    endpoint = case(rgw, bucket)
    error = refused(endpoint, bucket, initialize_store, caplog)
    assert error.message.endswith(message)


def refused(
    endpoint: Endpoint, bucket: Bucket, ask: Callable[[Store], object], caplog: pytest.LogCaptureFixture
) -> StoreUnavailable:
    """Returns the store's error, after checking that neither it nor any log holds a secret."""
    wire = Transport(resends=1, pace=PATIENT, journal=IncidentJournal())
    with speaking_to(endpoint), caplog.at_level(logging.DEBUG, logger="proxx"):
        store = open_store(f"{bucket.url}/some/store", wire)
        with pytest.raises(StoreUnavailable) as caught:
            ask(store)
    error = caught.value
    assert (error.code, error.status) == ("STORE_UNAVAILABLE", 6)
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("proxx")]
    everything = " ".join(
        [*(f"{one!s} {one!r} {vars(one)}" for one in chain), str(error.detail), *ours, str(wire.journal.take())]
    )
    for secret in (endpoint.keys.access, endpoint.keys.secret, endpoint.keys.token or endpoint.keys.secret):
        assert secret not in everything
    for word in ("Signature=", "Credential=", "Authorization", "X-Amz-Security-Token"):
        assert word not in everything
    return error


def test_a_missing_bucket_is_reported(rgw: Rgw, moto_kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    assert moto_kind.bucket is not None
    for endpoint in (rgw.as_user(rgw.user("bucketless")), moto_kind.bucket.endpoint):
        error = refused(endpoint, Bucket(endpoint, "no-such-bucket"), initialize_store, caplog)
        assert error.message == (
            "the store could not read an object: there is no such bucket. Make the bucket, or correct its name"
        )
        assert error.detail == (
            "GetObject s3://no-such-bucket/some/store/store.json: there is no such bucket (NoSuchBucket, HTTP 404)"
        )


def test_a_read_only_key_can_read_but_not_create(
    rgw: Rgw, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = rgw_bucket(rgw, request.node.nodeid)
    reader = bucket.endpoint.to(rgw.user(owner(bucket), read_only=True))
    error = refused(reader, bucket, initialize_store, caplog)
    assert error.message.startswith("the store could not create an object: these credentials may not do that")
    with speaking_to(bucket.endpoint):
        initialize_store(open_store(f"{bucket.url}/some/store"))
    refused(reader, bucket, lambda store: store.create("a/b", b""), caplog)
    with speaking_to(reader):
        assert open_store(f"{bucket.url}/some/store").list("") == ("store.json",)


def test_a_full_quota_is_reported(rgw: Rgw, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> None:
    bucket = rgw_bucket(rgw, request.node.nodeid)
    with speaking_to(bucket.endpoint):
        initialize_store(open_store(f"{bucket.url}/some/store"))
    rgw.user(owner(bucket), quota_objects=1)
    error = refused(bucket.endpoint, bucket, lambda store: store.create("a/b", b"1"), caplog)
    assert "the quota is used up, or the storage is full" in error.message
    assert bucket.keys() == ["some/store/store.json"]


def test_a_clock_an_hour_late_is_reported(
    rgw: Rgw, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = rgw_bucket(rgw, request.node.nodeid)
    real = botocore.auth.get_current_datetime
    late = datetime.timedelta(hours=1)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *a, **k: real(*a, **k) - late)
    error = refused(bucket.endpoint, bucket, initialize_store, caplog)
    assert error.message == (
        "the store could not read an object: this machine's clock and the storage server's differ too much. "
        "Set both by NTP"
    )


@pytest.mark.parametrize(
    ("code", "status", "message"),
    [
        ("InvalidToken", 400, "the credentials are refused"),
        ("ExpiredToken", 400, "the credentials have expired"),
        ("RequestTimeTooSkewed", 403, "clock"),
        ("AccountProblem", 403, "these credentials may not do that"),
    ],
)
def test_error_codes_that_only_aws_returns(
    line: Line, code: str, status: int, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    keys = line.bucket.endpoint.keys
    endpoint = line.bucket.endpoint.at(line.way.url).to(Keys(keys.access, keys.secret, "token-token-token"))
    line.way.on(Answer(status, code), times=None)
    error = refused(endpoint, line.bucket, initialize_store, caplog)
    assert message in error.message
    assert len(line.way.requests()) == 1


def test_an_unreachable_server_is_reported(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    line.way.down()
    try:
        error = refused(line.bucket.endpoint.at(line.way.url), line.bucket, initialize_store, caplog)
    finally:
        line.way.up()
    assert error.message.endswith("the storage server cannot be reached. Check the endpoint and the network")


def test_missing_credentials_are_reported(
    line: Line, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    line.way.forget()

    def without(store: Store) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            monkeypatch.setenv(name, os.devnull)
        initialize_store(store)

    error = refused(line.bucket.endpoint.at(line.way.url), line.bucket, without, caplog)
    assert "no credentials were found. Set them in the environment, a profile or a role" in error.message
    assert line.way.requests() == []
