"""The parameters of `make-proxies` as fields of the form in Prefect's UI: a title and a description each."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from pydantic.config import JsonDict

ToolchainField: TypeAlias = Literal["static", "full"]


def form_text(title: str, description: str) -> JsonDict:
    """Returns a field's title and description as extra JSON schema.

    Prefect replaces the field's own title by the parameter's name, and its description by the docstring's.
    """
    return {"title": title, "description": description}


Sources: TypeAlias = Annotated[
    list[str],
    Field(
        min_length=1,
        json_schema_extra=form_text(
            "Sources",
            "Camera files, or folders of camera files: absolute paths on the machine that runs the flow, "
            "`s3://bucket/prefix`, or a path below a root such as `media:/A001`.",
        ),
    ),
]
Profile: TypeAlias = Annotated[
    str,
    Field(
        min_length=1,
        json_schema_extra=form_text(
            "Profile",
            "The kind of proxy to make, for example `prores_proxy` (`proxx profiles` lists all), or the path of your "
            "own profile file (.toml).",
        ),
    ),
]
OutputField: TypeAlias = Annotated[
    str,
    Field(
        min_length=1,
        json_schema_extra=form_text(
            "Output folder",
            "Where to write the proxies: an absolute path, `s3://bucket/prefix`, or a path below a root such as "
            "`proxies:/A001`.",
        ),
    ),
]
StorePlace: TypeAlias = Annotated[
    str | None,
    Field(
        json_schema_extra=form_text(
            "Store",
            "Where the job files are kept: a folder that all workers share, or `s3://bucket/prefix`. If empty, the "
            "worker's PROXX_STORE.",
        )
    ),
]
JobName: TypeAlias = Annotated[
    str | None,
    Field(json_schema_extra=form_text("Name", "The name of the job. If empty, the name of the first source.")),
]
ClipsPerJob: TypeAlias = Annotated[
    int | None,
    Field(
        ge=1,
        json_schema_extra=form_text(
            "Clips per job", "Splits the clips into several jobs with at most this many each. If empty, one job."
        ),
    ),
]
Template: TypeAlias = Annotated[
    str,
    Field(
        json_schema_extra=form_text(
            "Names of the proxies",
            "The path of each proxy below the output folder, made from {source_name} {source_ext} {source_dir} "
            "{index} {profile} {job_name} {date}.",
        ),
    ),
]
Build: TypeAlias = Annotated[
    ToolchainField,
    Field(
        json_schema_extra=form_text(
            "Encoder build", "Choose `full` for sources that `static` cannot decode: AV1, PNG, EXR."
        )
    ),
]
LeaveOut: TypeAlias = Annotated[
    bool,
    Field(
        json_schema_extra=form_text(
            "Leave out refused files", "Make proxies of the other files if some cannot be used, and list those."
        )
    ),
]
Damage: TypeAlias = Annotated[
    list[str],
    Field(
        json_schema_extra=form_text(
            "Accept damage", "Clips, by file name or path, to convert although parts of them cannot be decoded."
        )
    ),
]
AttemptField: TypeAlias = Annotated[
    int,
    Field(
        ge=1,
        json_schema_extra=form_text(
            "Attempt",
            "The number of this attempt. An attempt that has ended is reported, not run again: to try again after "
            "fixing the cause, enter the next number.",
        ),
    ),
]
DeploymentField: TypeAlias = Annotated[
    str | None,
    Field(
        json_schema_extra=form_text(
            "Deployment",
            "Runs the jobs on the workers of a pool: `proxy-job/proxx`. If empty, this run makes them itself, one "
            "after another.",
        ),
    ),
]
