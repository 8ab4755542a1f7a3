"""Writers that want the same keys at the same time: threads of one process, several of which make the race larger.

`python -m tests.objects.racer STORE WRITERS`: says `ready`, takes a key a line, and at an empty one says what came.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable

from proxx.store.base import Store
from proxx.store.opening import open_store, store_identity

Answers = dict[str, dict[str, str]]
"""For each key what each writer was given: "" where the key is its own, else the bytes that stand there."""


def race(store: Store, writers: list[str], keys: Iterable[str], together: Callable[[], object]) -> Answers:
    """Every writer creates every key with its own name in it. together: waits until all writers are there."""
    answers: Answers = defaultdict(dict)
    keys = list(keys)
    faults: list[BaseException] = []

    def write(me: str) -> None:
        try:
            for key in keys:
                together()
                there = store.create(key, me.encode())
                answers[key][me] = "" if there is None else there.decode()
        except BaseException as why:
            faults.append(why)
            raise

    threads = [threading.Thread(target=write, args=(me,), daemon=True) for me in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return answers


def main(url: str, writers: list[str]) -> None:
    store = open_store(url)
    assert store_identity(store) is not None
    print("ready", flush=True)
    answers: Answers = {}
    for line in iter(sys.stdin.readline, "\n"):
        answers |= race(store, writers, [line.strip()], threading.Barrier(len(writers)).wait)
    print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
