"""Publishes a verified file under its key in object storage: in one conditional request, or in parts.

A reader sees either nothing under the key or the whole object. An object at the key is never replaced: the server
refuses a single PUT, and an upload in parts checks the key before it completes.
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
from proxx.files.publish import Absent, Content, Present, Published, Standing, content_of
from proxx.files.roots import InBucket
from proxx.s3 import multipart
from proxx.s3.bucket import Bucket
from proxx.s3.client import PayloadMismatch, unusable_client
from proxx.s3.faults import Cause, StorageFault
from proxx.s3.incidents import Incident
from proxx.s3.transport import Stop, never


def existing_object(places: Places, spot: InBucket, should_stop: Stop = never) -> Standing:
    """Returns what is at the key. Raises OutputUnwritable if that cannot be determined, Interrupted."""
    digester = Digester()

    def restart() -> Callable[[bytes], None]:
        nonlocal digester
        digester = Digester()
        return digester.update

    try:
        if not places.bucket(spot).read(spot.key, restart, should_stop):
            return Absent()
    except StorageFault as fault:
        raise upload_failure(fault, "The place of the output cannot be checked.") from fault
    return Present(digester.digest)


def needs_parts(places: Places, content: Content) -> bool:
    """Returns whether the file is larger than one request can carry."""
    return content.size > places.single


class PreparedUpload:
    """A verified file that is ready to be sent. notes: for the envelope of the event that announces it."""

    def __init__(self, places: Places, spot: InBucket, made: Path, content: Content, should_stop: Stop) -> None:
        self._places, self._spot, self._made, self._stop = places, spot, made, should_stop
        self._bucket: Bucket = places.bucket(spot)
        self._nonce = uuid4().hex
        self._content, self._sent = content, Digester()
        self._fence_held = False
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
        """Sends the file and gives it its key, unless the key is taken.

        fence: called at the last moment at which nothing is visible yet; if it raises, nothing is published. Raises
        OutputUnwritable, DiskFull, WorkUnusable, Interrupted; ToolchainMissing if the installed client does not send
        the verified bytes, or sends them without calling the fence.
        """

        def hold() -> None:
            self._require_verified_bytes()
            fence()
            self._fence_held = True

        try:
            result = self._send_parts(hold) if self._upload else self._send_whole(hold)
        except StorageFault as fault:
            result = self._settle(fault)
        if isinstance(result, Published) and not self._fence_held:
            raise unusable_client("an upload ended without reading its body to the end")
        return result

    def _send_whole(self, hold: Callable[[], None]) -> Published:
        try:
            self._bucket.create_from(
                self._spot.key,
                self._made,
                self._nonce,
                hold,
                self._stop,
                self._restart_digest,
                self._content.sha256,
            )
        except PayloadMismatch as error:
            if content_of(self._made) != self._content:
                raise self._changed_file(f"{error.detail}") from error
            raise
        if self._sent.digest != self._content.sha256 and self._fence_held:
            raise unusable_client("an upload read its body again after its end")
        return Published()

    def _restart_digest(self) -> Callable[[bytes], None]:
        self._sent = Digester()
        return self._sent.update

    def _require_verified_bytes(self) -> None:
        """Checks that the bytes just sent, from a second reading of the file, are the verified ones."""
        if self._sent.digest != self._content.sha256:
            raise self._changed_file(f"{self._sent.digest} instead of {self._content.sha256}")

    def _changed_file(self, detail: str) -> WorkUnusable:
        return WorkUnusable(
            message="The working directory returned other bytes than were verified.",
            stage="publish",
            detail=detail,
        )

    def _send_parts(self, hold: Callable[[], None]) -> Published | Present:
        """Sends the file in parts. The answer to the last request is not trusted: the nonce decides.

        Ceph 16 also reports success for an aborted upload if any object has the key (measured).
        """
        key, upload = self._spot.key, self._upload
        tags = multipart.send(
            self._bucket, key, upload, self._made, self._places.part, self._stop, self._restart_digest()
        )
        if self._bucket.head(key) is not None:
            return self._present()
        hold()
        multipart.complete(self._bucket, key, upload, tags)
        existing = self._bucket.head(key)
        if existing is None or existing.nonce != self._nonce:
            return self._present()
        self._upload = ""
        return Published()

    def _present(self) -> Present:
        existing = existing_object(self._places, self._spot, self._stop)
        return existing if isinstance(existing, Present) else Present(None)  # deleted since; it was someone else's

    def _settle(self, fault: StorageFault) -> Published | Present:
        """Decides by the nonce whose object is at the key, after it was taken or an answer was lost."""
        if fault.cause is Cause.EXISTS or fault.uncertain:
            try:
                existing = self._bucket.head(self._spot.key)
            except StorageFault as second_fault:
                raise upload_failure(second_fault, "The output cannot be given its name.") from second_fault
            if existing is not None and existing.nonce == self._nonce:
                place = self._bucket.place(self._spot.key)
                self._places.wire.journal.note(
                    Incident(kind="settled", action=fault.action, place=place, cause=fault.cause)
                )
                self._upload = ""
                return Published()
            if existing is not None:
                return self._present()
        raise upload_failure(fault, "The output cannot be given its name.") from fault

    def give_up(self) -> None:
        """Aborts the upload if it was not completed."""
        if self._upload:
            with suppress(StorageFault):  # `proxx doctor` lists it, and the next attempt aborts it
                multipart.abort(self._bucket, self._spot.key, self._upload)


@contextmanager
def prepare_upload(
    places: Places, spot: InBucket, made: Path, content: Content, should_stop: Stop
) -> Iterator[PreparedUpload]:
    """Yields an upload that is ready to be sent; afterwards nothing unfinished is left of it.

    Raises OutputUnwritable, DiskFull, Interrupted.
    """
    upload = PreparedUpload(places, spot, made, content, should_stop)
    try:
        yield upload
    finally:
        upload.give_up()


def abort_earlier(places: Places, spot: InBucket, uploads: tuple[str, ...]) -> None:
    """Aborts unfinished uploads of earlier attempts or jobs. Raises OutputUnwritable."""
    for upload in uploads:
        try:
            multipart.abort(places.bucket(spot), spot.key, upload)
        except StorageFault as fault:
            raise upload_failure(fault, "An upload of an earlier attempt cannot be aborted.") from fault


def upload_failure(fault: StorageFault, message: str) -> ProxxError:
    """Returns the failure for a fault, the same that a full or unwritable disk gives."""
    if fault.cause is Cause.STOPPED:
        return Interrupted(message="The job was stopped while this clip was published.", stage="publish")
    if fault.cause is Cause.FULL:
        return DiskFull(message="There is no space left for the output.", stage="publish", detail=fault.detail)
    return OutputUnwritable(message=message, stage="publish", detail=fault.detail)
