"""The parameters of `make-proxies` as the form in Prefect's pages shows them: a title and one sentence each."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from pydantic.config import JsonDict

ToolchainField: TypeAlias = Literal["static", "full"]


def shown(title: str, description: str) -> JsonDict:
    """Prefect overwrites a field's own title and description with the parameter's name and the docstring's words."""
    return {"title": title, "description": description}


Sources: TypeAlias = Annotated[
    list[str],
    Field(
        min_length=1,
        json_schema_extra=shown(
            "Sources",
            "Camera files, or folders that hold them: whole paths as the machine that works sees them, "
            "`s3://bucket/prefix`, or names below a root, `media:/A001`.",
        ),
    ),
]
Profile: TypeAlias = Annotated[
    str,
    Field(
        min_length=1,
        json_schema_extra=shown(
            "Profile",
            "The kind of proxy, `prores_proxy` for one (`proxx profiles` lists them), or the path of a profile of "
            "your own (.toml).",
        ),
    ),
]
OutputField: TypeAlias = Annotated[
    str,
    Field(
        min_length=1,
        json_schema_extra=shown(
            "Output folder",
            "Where the proxies will be: a whole path, `s3://bucket/prefix`, or a name below a root, `proxies:/A001`.",
        ),
    ),
]
StorePlace: TypeAlias = Annotated[
    str | None,
    Field(
        json_schema_extra=shown(
            "Store",
            "Where the job files are: a folder that all workers share, or `s3://bucket/prefix`. Else PROXX_STORE.",
        )
    ),
]
JobName: TypeAlias = Annotated[
    str | None, Field(json_schema_extra=shown("Name", "What the job is called. Else the first source's name."))
]
ClipsPerJob: TypeAlias = Annotated[
    int | None,
    Field(
        ge=1,
        json_schema_extra=shown("Clips per job", "Makes several jobs of so many clips each. Else one job of all."),
    ),
]
Template: TypeAlias = Annotated[
    str,
    Field(
        json_schema_extra=shown(
            "Names of the proxies",
            "Below the output folder, made from {source_name} {source_ext} {source_dir} {index} {profile} {job_name} "
            "{date}.",
        ),
    ),
]
Build: TypeAlias = Annotated[
    ToolchainField,
    Field(json_schema_extra=shown("Encoder build", "`full` for sources that `static` cannot decode: AV1, PNG, EXR.")),
]
LeaveOut: TypeAlias = Annotated[
    bool,
    Field(
        json_schema_extra=shown("Leave out refused files", "Go on without files that cannot be used, and say which.")
    ),
]
Damage: TypeAlias = Annotated[
    list[str],
    Field(
        json_schema_extra=shown("Accept damage", "Clips, by name or path, to take although not all of them decodes.")
    ),
]
AttemptField: TypeAlias = Annotated[
    int,
    Field(
        ge=1,
        json_schema_extra=shown(
            "Attempt",
            "Which try this is. One that has ended is not run again but reported; after mending what failed ask for "
            "the next.",
        ),
    ),
]
DeploymentField: TypeAlias = Annotated[
    str | None,
    Field(
        json_schema_extra=shown(
            "Deployment", "Hands the jobs to a pool's workers: `proxy-job/proxx`. Else they run here, in order."
        ),
    ),
]
