"""A user's own flow: makes proxies of a card for the editor, and lists what to copy from the card again."""

from __future__ import annotations

from prefect import flow
from proxx_flows.make_proxies import proxies


@flow(name="day-one")
def day_one(card: str, edit: str, store: str) -> dict[str, list[str]]:
    made = proxies([card], "prores_proxy_half", edit, store=store, clips_per_job=1)
    todo = {"relink": [proxy.output for proxy in made.outputs], "copy again": [], "ask": []}
    for problem in made.problems:
        todo["ask"].append(f"{problem.path}: {problem.remedy}")
    for fault in made.failures:
        if fault.code in ("DECODE_FAILED", "SOURCE_TRUNCATED", "SOURCE_MISSING") and fault.source:
            todo["copy again"].append(fault.source)
        else:
            todo["ask"].append(f"{fault.code}: {fault.remedy}")
    return todo
