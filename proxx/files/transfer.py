"""Provides the source of a clip to the encoder, and publishes its proxy.

Both work the same on a file system and in object storage, with the same failures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxx.contracts.errors import OutputUnwritable
from proxx.contracts.recipe import SourceFile
from proxx.files import publish, upload
from proxx.files.download import fetched, require_object
from proxx.files.places import Places, leads_out
from proxx.files.publish import Content, Present, Published, Standing
from proxx.files.roots import InBucket, OnDisk, Spot
from proxx.files.source import read_beside, require_source_file
from proxx.s3.transport import Stop, never

Settle = Callable[[Stop], None]
"""Called when the encoder has ended. Waits for the source's sha256; raises SourceChanged if it is another file."""


def locate_source(places: Places, file: SourceFile) -> Spot:
    """Returns where a source is, after checking that it exists with its size in bytes.

    Raises SourceMissing, SourceUnreadable or SourceChanged.
    """
    spot = places.spot(file.uri)
    match spot:
        case OnDisk():
            require_source_file(spot, file)
        case InBucket():
            require_object(places, spot, file)
    return spot


@contextmanager
def source_for_encoder(
    places: Places, spot: Spot, file: SourceFile, copy: Path, should_stop: Stop
) -> Iterator[tuple[Path, Settle]]:
    """Yields a file for the encoder: the source itself, hashed while the encoder runs, or a verified copy.

    copy: the path for a copy, which exists while the block runs. Raises SourceMissing, SourceUnreadable,
    SourceChanged, DiskFull, WorkUnusable or Interrupted.
    """
    match spot:
        case OnDisk(path=path):
            with read_beside(path, file) as reader:
                yield path, reader.settle
        case InBucket():
            with fetched(places, spot, file, copy, should_stop) as path:
                yield path, lambda _: None


def existing_output(places: Places, uri: str, should_stop: Stop = never) -> Standing:
    """Returns what is at the place of an output. Raises OutputUnwritable if that cannot be determined."""
    match places.spot(uri):
        case OnDisk(path=path) as spot:
            if leads_out(spot):
                raise OutputUnwritable(message="A link leads the output out of its root.", stage="publish")
            return publish.existing_file(path)
        case InBucket() as spot:
            return upload.existing_object(places, spot, should_stop)


@dataclass(frozen=True)
class OutgoingOutput:
    """A proxy that is ready to be published.

    notes: for the envelope of the event that announces it. publish: calls the fence, then gives the proxy its name.
    """

    notes: Mapping[str, str]
    publish: Callable[[Callable[[], None]], Published | Present]


@contextmanager
def sending_output(
    places: Places, uri: str, made: Path, content: Content, should_stop: Stop
) -> Iterator[OutgoingOutput]:
    """Prepares a proxy for publishing. When the block ends, nothing unfinished is left.

    Raises OutputUnwritable, DiskFull, WorkUnusable or Interrupted.
    """
    match places.spot(uri):
        case OnDisk(path=target):
            with publish.staged(made, target, content) as whole:

                def publish_staged(fence: Callable[[], None]) -> Published | Present:
                    fence()
                    return publish.publish(whole, target)

                yield OutgoingOutput({}, publish_staged)
        case InBucket() as spot:
            with upload.prepare_upload(places, spot, made, content, should_stop) as prepared:
                yield OutgoingOutput(prepared.notes, prepared.publish)


def goes_up_in_parts(places: Places, uri: str, content: Content) -> bool:
    """Returns whether the proxy is sent in parts. Not every server checks the condition when it completes them."""
    return isinstance(places.spot(uri), InBucket) and upload.needs_parts(places, content)


def abort_unfinished(places: Places, uri: str, uploads: tuple[str, ...]) -> None:
    """Aborts uploads that were left unfinished at the place of an output."""
    spot = places.spot(uri)
    if isinstance(spot, InBucket):
        upload.abort_earlier(places, spot, uploads)
