"""A store in object storage: exclusive create by single conditional PUTs (`If-None-Match: *`).

A server that overwrites silently would let two workers run one job, so each process sees it refuse once (412)
before it creates anything. Only servers that answer reads with the last write are fit: AWS, Ceph and MinIO do.
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
from proxx.s3.transport import Transport
from proxx.store.base import check_folder, check_key
from proxx.store.keys import STORE_KEY, is_key

_WRONG_PLACE: Final = frozenset({Cause.NOT_S3})
_NOT_IMPLEMENTED: Final = 501


class S3Store:
    """Below `s3://bucket/prefix`. For several threads at once."""

    def __init__(self, bucket: str, prefix: str, wire: Transport | None = None) -> None:
        self.wire = wire or Transport()
        self._bucket = Bucket(self.wire, bucket)
        self._prefix = f"{prefix}/" if prefix else ""
        self._proved = False
        self._known = False  # whether the resends of the store's own record are in force

    @property
    def uri(self) -> str:
        return self._bucket.place(self._prefix).rstrip("/")

    @property
    def journal(self) -> IncidentJournal:
        return self.wire.journal

    def create(self, key: str, data: bytes) -> bytes | None:
        check_key(key)
        if key != STORE_KEY:
            self._prove()
            return self._create(key, data)
        there = self._create(key, data)
        self._heed(data if there is None else there)
        if there is None:
            self._prove()  # whoever makes a store learns at once that it cannot be one
        return there

    def read(self, key: str) -> bytes | None:
        check_key(key)
        if key != STORE_KEY:
            self._learn()
        try:
            found = self._bucket.get(self._prefix + key)
        except StorageFault as fault:
            raise _failed("the store did not give an object", fault) from fault
        if key == STORE_KEY and found is not None:
            self._heed(found[0])
        return None if found is None else found[0]

    def list(self, folder: str) -> tuple[str, ...]:
        return tuple(self.walk(folder))

    def walk(self, folder: str, after: str = "") -> Iterator[str]:
        check_folder(folder)
        self._learn()
        behind = self._prefix + after if after else ""
        try:
            for objects, _ in self._bucket.pages(self._prefix + folder, after=behind):
                for one in objects:
                    if is_key(key := one.key[len(self._prefix) :]):
                        yield key
        except StorageFault as fault:
            raise _failed("the store did not list a folder", fault) from fault

    def children(self, folder: str) -> tuple[str, ...]:
        check_folder(folder)
        self._learn()
        whole = self._prefix + folder
        try:
            names = [
                name[len(whole) :].rstrip("/")
                for objects, folders in self._bucket.pages(whole, folders=True)
                for name in (*(one.key for one in objects), *folders)
            ]
        except StorageFault as fault:
            raise _failed("the store did not list a folder", fault) from fault
        return tuple(sorted(filter(is_key, names)))

    def _create(self, key: str, data: bytes) -> bytes | None:
        """One conditional PUT. Where it was refused or its answer lost, what stands there tells by its nonce."""
        whole, nonce = self._prefix + key, uuid.uuid4().hex
        try:
            self._bucket.create(whole, data, nonce)
        except StorageFault as fault:
            if fault.cause is not Cause.EXISTS and not fault.uncertain:
                raise _failed("the store did not take an object", fault) from fault
            return self._settle(whole, nonce, fault)
        return None

    def _settle(self, whole: str, nonce: str, fault: StorageFault) -> bytes | None:
        try:
            found = self._bucket.get(whole)
        except StorageFault as worse:
            raise _failed("the store did not say whether it took an object", worse) from worse
        if found is None:
            raise _failed("the store did not take an object", fault) from fault
        if found[1] != nonce:
            return found[0]
        place = self._bucket.place(whole)
        self.journal.note(Incident(kind="settled", action="PutObject", place=place, cause=fault.cause))
        return None

    def _prove(self) -> None:
        """See, once a process, that a key that is taken is refused: store.json again, with its own bytes.

        Threads that come here at once each see it for themselves.
        """
        if self._proved:
            return
        there = self.read(STORE_KEY)
        if there is None:
            raise StoreUnavailable(message="there is no store here yet", detail=self.uri)
        try:
            self._bucket.create(self._prefix + STORE_KEY, there, uuid.uuid4().hex)
        except StorageFault as fault:
            if fault.cause is not Cause.EXISTS:  # what never arrived, or has no answer, was refused by nobody
                raise _failed("the store did not show that it refuses what exists", fault) from fault
        else:
            raise StoreRefused(
                message="this storage replaces an object although it was told not to (If-None-Match), so two "
                "workers could run one job",
                detail=f"it has to answer 412 Precondition Failed: {self.uri}",
            )
        self._proved = True

    def _learn(self) -> None:
        """How often requests may be sent again, before the first one that is not for the record that says so."""
        if not self._known:
            self.read(STORE_KEY)

    def _heed(self, record: bytes) -> None:
        self._known = True
        try:
            match read_json(record):
                case {"resends": int(resends)} if resends >= 0:
                    self.wire = self.wire.with_resends(resends)
                    self._bucket = Bucket(self.wire, self._bucket.name)
                case _:
                    pass
        except NotCanonical:
            pass  # whoever reads the record says that it is damaged


def _failed(what: str, fault: StorageFault) -> StoreUnavailable | StoreRefused:
    if fault.cause in _WRONG_PLACE:
        return StoreRefused(message=f"{what}: {fault.sentence}", detail=fault.detail)
    if fault.status == _NOT_IMPLEMENTED and fault.action == "PutObject":
        return StoreRefused(
            message="this storage cannot create an object on the condition that there is none (If-None-Match)",
            detail=fault.detail,
        )
    return StoreUnavailable(message=f"{what}: {fault.sentence}. {fault.remedy}".rstrip("."), detail=fault.detail)
