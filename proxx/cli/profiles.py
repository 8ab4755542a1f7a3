"""`proxx profiles`: lists the profiles, or prints one in full."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxx.console.output import out, out_json, table
from proxx.console.settings import current_settings, json_option
from proxx.console.wording import safe

if TYPE_CHECKING:
    from proxx.contracts.canonical import Json
    from proxx.contracts.profile import MeasuredRate, ProfileSpec, SizeRule


@click.command()
@click.argument("name", required=False)
@json_option
def profiles(name: str | None) -> int:
    """List the profiles, or print the profile NAME in full. A profile holds the rules of one kind of proxy.

    NAME is the name of a profile in the list, or a TOML file. What is printed is itself a profile file: save it,
    change it, and give it to `create --profile`.
    """
    if name is not None:
        return _one(name)
    return _all()


def _one(name: str) -> int:
    from proxx.contracts.profile import find_profile

    profile = find_profile(name)  # first, so that only a valid profile is printed
    if current_settings().json:
        out_json(_data(profile))
        return 0
    is_file = "/" in name or name.endswith(".toml")
    source = Path(name) if is_file else resources.files("proxx").joinpath(f"catalogue/{name}.toml")
    for line in source.read_text("utf-8").splitlines():
        out(safe(line))
    return 0


def _all() -> int:
    from proxx.contracts.profile import catalogue, find_profile

    known = [find_profile(name) for name in catalogue()]
    if current_settings().json:
        out_json({"profiles": [_data(profile) for profile in known]})
        return 0
    head = ("NAME", "FILE", "SIZE", "Mb/s at 1080p25", "TOOLCHAINS", "DESCRIPTION")
    table(head, [_row(profile) for profile in known])
    out(
        "\nMb/s: measured bit rate of the picture, from the easiest to the hardest. "
        "`proxx profiles NAME` prints a profile in full."
    )
    return 0


def _row(profile: ProfileSpec) -> tuple[str, ...]:
    made_with = ", ".join(profile.toolchains)
    return (
        profile.name,
        profile.container,
        size_rule(profile.size),
        measured(profile.measured),
        made_with,
        safe(profile.description),
    )


def size_rule(rule: SizeRule) -> str:
    """Returns the size of the proxy relative to its source: `same`, `1/2`, `fit 1920x1080`."""
    if rule.mode == "same":
        return "same"
    return f"1/{rule.n}" if rule.mode == "divide" else f"{rule.mode} {rule.width}x{rule.height}"


def measured(rate: MeasuredRate) -> str:
    """Returns the measured range in Mb/s: `10.3-94.0`.

    ", no bound" is appended if the encoder has no upper limit and can exceed what was measured.
    """
    # At least one significant digit: 0.04 and 10.3, not 0.0.
    low, high = (
        f"{kbps // 1000}.{kbps % 1000 // 100}" if kbps >= 1000 else f"0.{kbps // 10:02d}"
        for kbps in (rate.low_kbps, rate.high_kbps)
    )
    return f"{low}-{high}" + ("" if rate.bounded else ", no bound")


def _data(profile: ProfileSpec) -> dict[str, Json]:
    return {"fingerprint": profile.fingerprint, **profile.to_json()}
