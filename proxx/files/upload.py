"""From a verified file to its final key in object storage: one conditional request, or parts that are completed last.

A reader sees nothing under the key, or the whole object. What stands at the key is never replaced: a single PUT is
refused by the server, an upload in parts looks before it completes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from proxx.contracts.error_bases import ProxxError
from proxx.contracts.errors import DiskFull, Interrupted, OutputUnwritable, WorkUnusable
from proxx.contracts.fingerprint import Digester
from proxx.files.places import Places
from proxx.files.publish import Absent, Content, Present, Published, Standing
from proxx.files.roots import InBucket
from proxx.s3 import multipart
from proxx.s3.bucket import Bucket
from proxx.s3.faults import Cause, StorageFault
from proxx.s3.incidents import Incident
from proxx.s3.transport import Stop, never


def existing_object(places: Places, spot: InBucket, should_stop: Stop = never) -> Standing:
    """What stands at the key. Raises OutputUnwritable where that cannot be found out, Interrupted."""
    digester = Digester()

    def anew() -> Callable[[bytes], None]:
        nonlocal digester
        digester = Digester()
        return digester.update

    try:
        if not places.bucket(spot).read(spot.key, anew, should_stop):
            return Absent()
    except StorageFault as fault:
        raise upload_failure(fault, "What stands at the output's place cannot be looked at.") from fault
    return Present(digester.digest)


def needs_parts(places: Places, content: Content) -> bool:
    """Whether the file is larger than one request carries."""
    return content.size > places.single


class PreparedUpload:
    """A file on its way to a key. notes: for the envelope of its announcement."""

    def __init__(self, places: Places, spot: InBucket, made: Path, content: Content, should_stop: Stop) -> None:
        self._places, self._spot, self._made, self._stop = places, spot, made, should_stop
        self._bucket: Bucket = places.bucket(spot)
        self._nonce = uuid4().hex
        self._content, self._sent = content, Digester()
        self._upload = ""
        if needs_parts(places, content):
            try:
                self._upload = multipart.begin_upload(self._bucket, spot.key, self._nonce)
            except StorageFault as fault:
                raise upload_failure(fault, "The output cannot be written.") from fault

    @property
    def notes(self) -> Mapping[str, str]:
        return {"upload": self._upload} if self._upload else {}

    def publish(self, fence: Callable[[], None]) -> Published | Present:
        """Give the file its key. fence: called at the last moment at which nothing is visible yet."""

        def hold() -> None:
            self._require_same()
            fence()

        try:
            if self._upload:
                return self._in_parts(hold)
            self._bucket.create_from(self._spot.key, self._made, self._nonce, hold, self._stop, self._anew)
        except StorageFault as fault:
            return self._settle(fault)
        return Published()

    def _anew(self) -> Callable[[bytes], None]:
        self._sent = Digester()
        return self._sent.update

    def _require_same(self) -> None:
        """What was sent is what was verified: the file was read a second time for it."""
        if self._sent.digest != self._content.sha256:
            raise WorkUnusable(
                message="The working directory gave back other bytes than were verified.",
                stage="publish",
                detail=f"{self._sent.digest} instead of {self._content.sha256}",
            )

    def _in_parts(self, fence: Callable[[], None]) -> Published | Present:
        """Its end is not believed: Ceph 16 also says yes to an upload that was aborted, where any object has the key
        (measured). Whose object stands there tells its nonce.
        """
        key, upload = self._spot.key, self._upload
        tags = multipart.send(self._bucket, key, upload, self._made, self._places.part, self._stop, self._anew())
        if self._bucket.head(key) is not None:
            return self._taken()
        fence()
        multipart.complete(self._bucket, key, upload, tags)
        there = self._bucket.head(key)
        if there is None or there.nonce != self._nonce:
            return self._taken()
        self._upload = ""
        return Published()

    def _taken(self) -> Present:
        there = existing_object(self._places, self._spot, self._stop)
        return there if isinstance(there, Present) else Present(None)  # gone again: it was somebody's all the same

    def _settle(self, fault: StorageFault) -> Published | Present:
        """The key was taken, or an answer was lost: whose object stands there tells its nonce."""
        if fault.cause is Cause.EXISTS or fault.uncertain:
            try:
                there = self._bucket.head(self._spot.key)
            except StorageFault as worse:
                raise upload_failure(worse, "The output cannot be given its name.") from worse
            if there is not None and there.nonce == self._nonce:
                place = self._bucket.place(self._spot.key)
                self._places.wire.journal.note(
                    Incident(kind="settled", action=fault.action, place=place, cause=fault.cause)
                )
                self._upload = ""
                return Published()
            if there is not None:
                return self._taken()
        raise upload_failure(fault, "The output cannot be given its name.") from fault

    def give_up(self) -> None:
        """Leave nothing of an upload that was not completed."""
        if self._upload:
            with suppress(StorageFault):  # `proxx doctor` lists it, and the next attempt aborts it
                multipart.abort(self._bucket, self._spot.key, self._upload)


@contextmanager
def prepare_upload(
    places: Places, spot: InBucket, made: Path, content: Content, should_stop: Stop
) -> Iterator[PreparedUpload]:
    """A parcel for the key; afterwards nothing unfinished is left there. Raises OutputUnwritable, DiskFull."""
    sent = PreparedUpload(places, spot, made, content, should_stop)
    try:
        yield sent
    finally:
        sent.give_up()


def abort_earlier(places: Places, spot: InBucket, uploads: tuple[str, ...]) -> None:
    """Abort uploads that earlier attempts, or jobs, began and did not end. Raises OutputUnwritable."""
    for upload in uploads:
        try:
            multipart.abort(places.bucket(spot), spot.key, upload)
        except StorageFault as fault:
            raise upload_failure(fault, "An upload of an earlier attempt cannot be aborted.") from fault


def upload_failure(fault: StorageFault, message: str) -> ProxxError:
    """The failure for a fault: the same that a full or unwritable disk gives."""
    if fault.cause is Cause.STOPPED:
        return Interrupted(message="The job was stopped while this clip was published.", stage="publish")
    if fault.cause is Cause.FULL:
        return DiskFull(message="There is no space left for the output.", stage="publish", detail=fault.detail)
    return OutputUnwritable(message=message, stage="publish", detail=fault.detail)
