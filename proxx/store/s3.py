"""A store in object storage: single conditional PUTs (`If-None-Match: *`) make creation exclusive.

A server that overwrites an object would let two workers run one job, so each process checks once that the server
answers 412 before it creates anything. Reads must return the last write: AWS, Ceph and MinIO do that.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Final

from proxx.contracts.canonical import NotCanonical, read_json
from proxx.contracts.errors import StoreRefused, StoreUnavailable
from proxx.s3.bucket import Bucket
from proxx.s3.faults import Cause, StorageFault
from proxx.s3.incidents import Incident, IncidentJournal
from proxx.s3.transport import PATIENCE_SECONDS, PAUSES, Transport
from proxx.store.base import check_folder, check_key
from proxx.store.keys import STORE_KEY, is_key

_WRONG_PLACE: Final = frozenset({Cause.NOT_S3})
_NOT_IMPLEMENTED: Final = 501
_CALLS_OF_CREATE: Final = 4  # read store.json and create it again (the check), create the object, read it back
_SILENCES_OF_REQUEST: Final = 3  # before the client is connected, before the answer, before its body of one piece


def longest_create(resends: int) -> float:
    """Returns the longest time in seconds that one `S3Store.create` can take before it succeeds or fails.

    resends: how often each request may be sent again. A request is given up after PATIENCE_SECONDS in which no byte
    moves, and each resend is preceded by one of PAUSES.
    """
    pauses = sum(PAUSES[:resends]) + PAUSES[-1] * max(0, resends - len(PAUSES))
    requests = (1 + resends) * _SILENCES_OF_REQUEST * PATIENCE_SECONDS
    return _CALLS_OF_CREATE * (requests + pauses)


class S3Store:
    """A store below `s3://bucket/prefix`. Safe for use by several threads at once."""

    def __init__(self, bucket: str, prefix: str, wire: Transport | None = None) -> None:
        self.wire = wire or Transport()
        self._bucket = Bucket(self.wire, bucket)
        self._prefix = f"{prefix}/" if prefix else ""
        self._exclusive = False  # whether this process has seen the server refuse an existing key
        self._resends_known = False  # whether the resends in store.json apply

    @property
    def uri(self) -> str:
        return self._bucket.place(self._prefix).rstrip("/")

    @property
    def journal(self) -> IncidentJournal:
        return self.wire.journal

    def create(self, key: str, data: bytes) -> bytes | None:
        check_key(key)
        if key != STORE_KEY:
            self._require_exclusive()
            return self._create(key, data)
        existing = self._create(key, data)
        self._apply_resends(data if existing is None else existing)
        if existing is None:
            self._require_exclusive()  # refuses an unsuitable server when the store is initialized
        return existing

    def read(self, key: str) -> bytes | None:
        check_key(key)
        if key != STORE_KEY:
            self._learn_resends()
        try:
            content = self._bucket.get(self._prefix + key)
        except StorageFault as fault:
            raise _store_error("the store could not read an object", fault) from fault
        if key == STORE_KEY and content is not None:
            self._apply_resends(content[0])
        return None if content is None else content[0]

    def list(self, folder: str) -> tuple[str, ...]:
        return tuple(self.walk(folder))

    def walk(self, folder: str, after: str = "") -> Iterator[str]:
        check_folder(folder)
        self._learn_resends()
        first = self._prefix + after if after else ""
        try:
            for objects, _ in self._bucket.pages(self._prefix + folder, after=first):
                for entry in objects:
                    if is_key(key := entry.key[len(self._prefix) :]):
                        yield key
        except StorageFault as fault:
            raise _store_error("the store could not list a folder", fault) from fault

    def children(self, folder: str) -> tuple[str, ...]:
        check_folder(folder)
        self._learn_resends()
        full = self._prefix + folder
        try:
            names = [
                name[len(full) :].rstrip("/")
                for objects, folders in self._bucket.pages(full, folders=True)
                for name in (*(entry.key for entry in objects), *folders)
            ]
        except StorageFault as fault:
            raise _store_error("the store could not list a folder", fault) from fault
        return tuple(sorted(filter(is_key, names)))

    def _create(self, key: str, data: bytes) -> bytes | None:
        """Sends one conditional PUT. If it is refused or its answer is lost, the object's nonce shows whose it is."""
        full, nonce = self._prefix + key, uuid.uuid4().hex
        try:
            self._bucket.create(full, data, nonce)
        except StorageFault as fault:
            if fault.cause is not Cause.EXISTS and not fault.uncertain:
                raise _store_error("the store could not create an object", fault) from fault
            return self._settle(full, nonce, fault)
        return None

    def _settle(self, full: str, nonce: str, fault: StorageFault) -> bytes | None:
        """Returns None if the object has our nonce, else the bytes of the object that already existed."""
        try:
            existing = self._bucket.get(full)
        except StorageFault as worse:
            raise _store_error("it is unknown whether the store created an object", worse) from worse
        if existing is None:
            raise _store_error("the store could not create an object", fault) from fault
        if existing[1] != nonce:
            return existing[0]
        place = self._bucket.place(full)
        self.journal.note(Incident(kind="settled", action="PutObject", place=place, cause=fault.cause))
        return None

    def _require_exclusive(self) -> None:
        """Checks, once in each process, that the server refuses an existing key: store.json, with its own bytes.

        Threads that arrive here at the same time each check for themselves.
        """
        if self._exclusive:
            return
        record = self.read(STORE_KEY)
        if record is None:
            raise StoreUnavailable(message="no store exists here yet", detail=self.uri)
        try:
            self._bucket.create(self._prefix + STORE_KEY, record, uuid.uuid4().hex)
        except StorageFault as fault:
            if fault.cause is not Cause.EXISTS:  # a request that got lost or has no answer proves nothing
                raise _store_error("the store could not be checked for exclusive creation", fault) from fault
        else:
            raise StoreRefused(
                message="this storage replaces an existing object despite If-None-Match, so two workers could run "
                "one job",
                detail=f"it must answer 412 Precondition Failed: {self.uri}",
            )
        self._exclusive = True

    def _learn_resends(self) -> None:
        """Reads store.json, which says how often requests may be sent again, before the first other request."""
        if not self._resends_known:
            self.read(STORE_KEY)

    def _apply_resends(self, record: bytes) -> None:
        self._resends_known = True
        try:
            match read_json(record):
                case {"resends": int(resends)} if resends >= 0:
                    self.wire = self.wire.with_resends(resends)
                    self._bucket = Bucket(self.wire, self._bucket.name)
                case _:
                    pass
        except NotCanonical:
            pass  # the code that needs the record reports that it is damaged


def _store_error(problem: str, fault: StorageFault) -> StoreUnavailable | StoreRefused:
    if fault.cause in _WRONG_PLACE:
        return StoreRefused(message=f"{problem}: {fault.sentence}", detail=fault.detail)
    if fault.status == _NOT_IMPLEMENTED and fault.action == "PutObject":
        return StoreRefused(
            message="this storage does not support If-None-Match, so it cannot create an object exclusively",
            detail=fault.detail,
        )
    return StoreUnavailable(message=f"{problem}: {fault.sentence}. {fault.remedy}".rstrip("."), detail=fault.detail)
