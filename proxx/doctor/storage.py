"""The storage checks of `proxx doctor`: the roots, the places where proxies are to be published, the store."""

from __future__ import annotations

import os
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from proxx.contracts.error_bases import ProxxError
from proxx.create.discover import locate_argument
from proxx.doctor.finding import Finding, failed_finding, size_words
from proxx.files import publish, workdir
from proxx.files.places import Places
from proxx.files.preflight import TRIAL, try_writing
from proxx.files.roots import InBucket, OnDisk, OutOfReach
from proxx.s3.faults import StorageFault
from proxx.s3.multipart import unfinished
from proxx.store.base import Store
from proxx.store.opening import store_identity


def check_roots(places: Places) -> Iterator[Finding]:
    """Checks that every root exists and can be listed."""
    for root in places.roots.roots:
        area = f"root {root.name}"
        spot = places.spot(f"{root.name}:/")
        try:
            if isinstance(spot, OnDisk):
                next(os.scandir(spot.path), None)
            else:
                next(places.bucket(spot).pages(spot.prefix))
        except OSError as error:
            yield Finding(area, False, f"{root.target}: {error.strerror}.", "Mount it, or correct the root.")
        except StorageFault as fault:
            yield Finding(area, False, f"{root.target}: {fault.detail}.", fault.remedy)
        else:
            yield Finding(area, True, f"{root.target} can be listed.")


def check_output(argument: str, places: Places) -> Iterator[Finding]:
    """Checks that proxies can be published in a folder or bucket, and that existing files are not replaced."""
    try:
        spot = locate_argument(argument, places)
    except OutOfReach as error:
        yield Finding("output", False, f"{error}.", "Use a place that this machine can reach.")
        return
    if isinstance(spot, OnDisk):
        yield from check_output_folder(spot.path)
    else:
        yield from _check_output_bucket(spot, places)


def _check_output_bucket(spot: InBucket, places: Places) -> Iterator[Finding]:
    """Checks that objects can be created but not replaced; lists uploads that crashed workers left."""
    bucket = places.bucket(spot)
    problems = list(try_writing(bucket, spot.prefix))
    for problem in problems:
        yield Finding("output", False, f"{problem.path}: {problem.message}", problem.remedy)
    if problems:
        return
    yield Finding("output", True, f"{bucket.place(spot.key)}: proxies can be published.")
    try:
        for objects, _ in bucket.pages(f"{spot.prefix}{TRIAL}"):
            for trial in objects:
                sentence = f"{bucket.place(trial.key)}: a test object of a job that was killed or is just starting."
                yield Finding("leftovers", True, sentence, "Delete it when no job is starting there.")
        for upload in unfinished(bucket, spot.prefix):
            yield Finding(
                "leftovers",
                True,
                f"{bucket.place(upload.key)}: an upload begun {upload.begun} is unfinished; its worker was killed or "
                f"is still uploading (upload {upload.upload_id}).",
                "The job's next attempt aborts it. Otherwise abort it when no job is publishing there.",
            )
    except StorageFault as fault:
        yield Finding(
            "leftovers",
            True,
            f"{bucket.place(spot.prefix)}: leftovers of killed workers cannot be listed.",
            fault.remedy,
        )


def check_output_folder(folder: Path) -> Iterator[Finding]:
    """Publishes a small file there twice, as a job does; the second time must be refused. Lists leftovers."""
    target = folder.absolute() / f".proxx-doctor-{uuid.uuid4().hex}"
    if not folder.is_dir():
        sentence = f"{folder} does not exist or is not a folder."
        yield Finding("output", False, sentence, "Create it, or mount the volume it is on.")
        return
    try:
        with tempfile.TemporaryDirectory(prefix="proxx-doctor-") as work:
            trial = Path(work) / "trial"
            outcomes = []
            for _ in range(2):
                trial.write_bytes(b"trial")
                with publish.staged(trial, target) as staged:
                    outcomes.append(publish.publish(staged, target))
        free = workdir.free_bytes(folder)
    except (ProxxError, OSError) as error:
        yield failed_finding("output", error)
        return
    finally:
        target.unlink(missing_ok=True)
    if outcomes != [publish.Published(), publish.Present(staged.sha256)]:
        yield Finding("output", False, f"{folder} lets a file be replaced.", "Publish on another file system.")
        return
    yield Finding("output", True, f"{folder}: proxies can be published, {size_words(free)} are free.")
    for leftover in publish.abandoned_stages(folder):
        yield Finding(
            "leftovers",
            True,
            f"{leftover} was left by a killed worker, or is being published right now.",
            "Remove it when no job is publishing to that folder.",
        )


def check_store(open_store: Callable[[], Store]) -> Iterator[Finding]:
    """Checks that the store can be reached, and that only one of two writers can create the same object."""
    try:
        opened = open_store()
        identity = store_identity(opened)
        if identity is None:
            yield Finding("store", True, f"{opened.uri}: no store yet; registering the first job creates it.")
            return
        winners = _race(opened, f"doctor/{uuid.uuid4().hex}")
    except (ProxxError, OSError) as error:
        yield failed_finding("store", error)
        return
    if winners != 1:
        sentence = f"{opened.uri} let {winners} of 2 writers create the same object."
        yield Finding("store", False, sentence, "Do not use it: jobs could run twice. Choose another store.")
        return
    yield Finding("store", True, f"{opened.uri}: store {identity.uuid}, writable, and creates exclusively.")


def _race(opened: Store, key: str) -> int:
    """Returns how many of two threads created `key`. The object stays: nothing in a store is ever deleted."""
    start, winners, errors = threading.Barrier(2), list[int](), list[BaseException]()

    def create(number: int) -> None:
        start.wait()
        try:
            if opened.create(key, b"trial %d" % number) is None:
                winners.append(number)
        except (ProxxError, OSError) as error:
            errors.append(error)

    racers = [threading.Thread(target=create, args=(number,)) for number in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    if errors:
        raise errors[0]
    return len(winners)
