"""The two ends of a clip, wherever they are: its source brought to the encoder, its proxy brought to its place.

On a file system and in object storage the story is the same, and so is what is said where it fails.
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
"""Called when the encoder has ended: waits until the source's identity is certain, and raises where it is another."""


def locate_source(places: Places, file: SourceFile) -> Spot:
    """Where a source is, seen to be there with its size in bytes. Raises what the clip fails with."""
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
    """A file for the encoder while the block runs: the source itself, hashed beside the encoder, or a proved copy.

    copy: where that goes. Raises what the clip fails with, DiskFull, Interrupted.
    """
    match spot:
        case OnDisk(path=path):
            with read_beside(path, file) as reader:
                yield path, reader.settle
        case InBucket():
            with fetched(places, spot, file, copy, should_stop) as path:
                yield path, lambda _: None


def existing_output(places: Places, uri: str, should_stop: Stop = never) -> Standing:
    """What stands at an output's place. Raises OutputUnwritable where that cannot be found out."""
    match places.spot(uri):
        case OnDisk(path=path) as spot:
            if leads_out(spot):
                raise OutputUnwritable(message="A link leads the output out of its root.", stage="publish")
            return publish.existing_file(path)
        case InBucket() as spot:
            return upload.existing_object(places, spot, should_stop)


@dataclass(frozen=True)
class OutgoingOutput:
    """A proxy on its way. notes: for the envelope of its announcement. give: its last step, once the fence holds."""

    notes: Mapping[str, str]
    give: Callable[[Callable[[], None]], Published | Present]


@contextmanager
def sending_output(
    places: Places, uri: str, made: Path, content: Content, should_stop: Stop
) -> Iterator[OutgoingOutput]:
    """Everything up to the last step while the block runs; afterwards nothing unfinished is left.

    Raises OutputUnwritable, DiskFull, WorkUnusable, Interrupted.
    """
    match places.spot(uri):
        case OnDisk(path=target):
            with publish.staged(made, target, content) as whole:

                def give(fence: Callable[[], None]) -> Published | Present:
                    fence()
                    return publish.publish(whole, target)

                yield OutgoingOutput({}, give)
        case InBucket() as spot:
            with upload.prepare_upload(places, spot, made, content, should_stop) as parcel:
                yield OutgoingOutput(parcel.notes, parcel.publish)


def goes_up_in_parts(places: Places, uri: str, content: Content) -> bool:
    """Whether the proxy is to be sent in parts, which not every server completes on a condition."""
    return isinstance(places.spot(uri), InBucket) and upload.needs_parts(places, content)


def abort_unfinished(places: Places, uri: str, uploads: tuple[str, ...]) -> None:
    """Abort what was left unfinished at an output's place."""
    spot = places.spot(uri)
    if isinstance(spot, InBucket):
        upload.abort_earlier(places, spot, uploads)
