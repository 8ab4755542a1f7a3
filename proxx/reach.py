"""Where the places of a spec are on this machine: the one module that makes paths of them. Pure.

Names below a root (`media:/…`) and in object storage (`s3://…`) have their form in the contracts. This version
reaches files by their full path only, and says so before anything is begun: as a path, `s3://bucket/a.mov` would be
a file in the working directory.
"""

from __future__ import annotations

from pathlib import Path

from proxx.errors import Problem, SpecInvalid
from proxx.job import JobSpec


def local_path(place: str) -> Path:
    """The file's path. Raises ValueError for a place that `require_reachable` refuses."""
    if not place.startswith("/"):
        raise ValueError(f"{place!r} is no file of this machine")
    return Path(place)


def require_reachable(spec: JobSpec) -> None:
    """Raises SpecInvalid with every source and output that is no file of this machine."""
    problems = tuple(
        Problem(f"clips[{number}].{part}[{which}].uri", SpecInvalid.code, f"this version does not reach {uri!r}.")
        for number, clip in enumerate(spec.clips)
        for part, uris in (
            ("source.files", [file.uri for file in clip.source.files]),
            ("outputs", [output.uri for output in clip.outputs]),
        )
        for which, uri in enumerate(uris)
        if not uri.startswith("/")
    )
    if problems:
        raise SpecInvalid(message="The job is not for files with a full path.", problems=problems)
