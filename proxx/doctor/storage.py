"""`proxx doctor`'s looks at storage: the roots, where proxies are to be published, the store."""

from __future__ import annotations

import os
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from proxx.contracts.error_bases import ProxxError
from proxx.create.discover import locate_argument
from proxx.doctor.finding import Finding, failed, size_words
from proxx.files import publish, workdir
from proxx.files.places import Places
from proxx.files.preflight import TRIAL, try_writing
from proxx.files.roots import InBucket, OnDisk, OutOfReach
from proxx.s3.faults import StorageFault
from proxx.s3.multipart import unfinished
from proxx.store.base import Store
from proxx.store.opening import store_identity


def roots(places: Places) -> Iterator[Finding]:
    """Every root is there and can be listed."""
    for root in places.roots.roots:
        area = f"root {root.name}"
        spot = places.spot(f"{root.name}:/")
        try:
            if isinstance(spot, OnDisk):
                next(os.scandir(spot.path), None)
            else:
                next(places.bucket(spot).pages(spot.prefix))
        except OSError as why:
            yield Finding(area, False, f"{root.target}: {why.strerror}.", "Mount it, or correct the root.")
        except StorageFault as fault:
            yield Finding(area, False, f"{root.target}: {fault.detail}.", fault.remedy)
        else:
            yield Finding(area, True, f"{root.target} can be listed.")


def output(said: str, places: Places) -> Iterator[Finding]:
    """Publish there as a job does, twice; the second must be told that the name is taken."""
    try:
        spot = locate_argument(said, places)
    except OutOfReach as why:
        yield Finding("output", False, f"{why}.", "Name a place of this machine.")
        return
    if isinstance(spot, OnDisk):
        yield from folder_output(spot.path)
    else:
        yield from _bucket_output(spot, places)


def _bucket_output(spot: InBucket, places: Places) -> Iterator[Finding]:
    """Whether objects can be created there and are not replaced; and what uploads crashed workers left."""
    bucket = places.bucket(spot)
    found = list(try_writing(bucket, spot.prefix))
    for problem in found:
        yield Finding("output", False, f"{problem.path}: {problem.message}", problem.remedy)
    if found:
        return
    yield Finding("output", True, f"{bucket.place(spot.key)}: proxies can be published.")
    try:
        for objects, _ in bucket.pages(f"{spot.prefix}{TRIAL}"):
            for trial in objects:
                said = f"{bucket.place(trial.key)}: a trial of a job that was killed, or of one that begins just now."
                yield Finding("leftovers", True, said, "Delete it when no job begins there.")
        for left in unfinished(bucket, spot.prefix):
            yield Finding(
                "leftovers",
                True,
                f"{bucket.place(left.key)}: an upload of {left.begun} was not ended: by a worker that was killed, or "
                f"one that uploads just now (upload {left.upload_id}).",
                "The job's next attempt aborts it. Else abort it when no job publishes there.",
            )
    except StorageFault as fault:
        yield Finding(
            "leftovers",
            True,
            f"{bucket.place(spot.prefix)}: what killed workers left cannot be listed.",
            fault.remedy,
        )


def folder_output(folder: Path) -> Iterator[Finding]:
    """The same in a folder."""
    target = folder.absolute() / f".proxx-doctor-{uuid.uuid4().hex}"
    if not folder.is_dir():
        yield Finding("output", False, f"{folder} is not there.", "Make it, or mount the volume it is on.")
        return
    try:
        with tempfile.TemporaryDirectory(prefix="proxx-doctor-") as own:
            made = Path(own) / "trial"
            said = []
            for _ in range(2):
                made.write_bytes(b"trial")
                with publish.staged(made, target) as whole:
                    said.append(publish.publish(whole, target))
        free = workdir.free_bytes(folder)
    except (ProxxError, OSError) as why:
        yield failed("output", why)
        return
    finally:
        target.unlink(missing_ok=True)
    if said != [publish.Published(), publish.Present(whole.sha256)]:
        yield Finding("output", False, f"{folder} lets a file be replaced.", "Publish on another file system.")
        return
    yield Finding("output", True, f"{folder}: proxies can be published, {size_words(free)} are free.")
    for left in publish.abandoned_stages(folder):
        yield Finding(
            "leftovers",
            True,
            f"{left} was left by a killed worker, or is being published just now.",
            "Remove it when no job publishes to that folder.",
        )


def store(open_store: Callable[[], Store]) -> Iterator[Finding]:
    """Whether it can be reached, and whether of two who create one object only one does."""
    try:
        chosen = open_store()
        known = store_identity(chosen)
        if known is None:
            yield Finding("store", True, f"{chosen.uri}: no store yet; the first job registered there makes it.")
            return
        winners = _race(chosen, f"doctor/{uuid.uuid4().hex}")
    except (ProxxError, OSError) as why:
        yield failed("store", why)
        return
    if winners != 1:
        sentence = f"{chosen.uri} let {winners} of 2 create the same object."
        yield Finding("store", False, sentence, "Do not use it: jobs could run twice. Choose another store.")
        return
    yield Finding("store", True, f"{chosen.uri}: store {known.uuid}, writable, and creates exclusively.")


def _race(chosen: Store, key: str) -> int:
    """How many of two threads created `key`. The object stays: nothing in a store is ever deleted."""
    start, won, errors = threading.Barrier(2), list[int](), list[BaseException]()

    def create(number: int) -> None:
        start.wait()
        try:
            if chosen.create(key, b"trial %d" % number) is None:
                won.append(number)
        except (ProxxError, OSError) as why:
            errors.append(why)

    racers = [threading.Thread(target=create, args=(number,)) for number in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    if errors:
        raise errors[0]
    return len(won)
