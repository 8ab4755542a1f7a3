"""Writers that create the same keys at the same time, as threads of one process. Several processes can race.

`python -m tests.objects.racer STORE WRITERS` prints `ready`, reads one key from each line, and prints the answers
after an empty line.
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
"""The answer to each writer for each key: "" if it created the key, else the existing bytes."""


def race(store: Store, writers: list[str], keys: Iterable[str], together: Callable[[], object]) -> Answers:
    """Lets every writer create every key with its own name as content. together: waits for all writers."""
    answers: Answers = defaultdict(dict)
    keys = list(keys)
    faults: list[BaseException] = []

    def write(me: str) -> None:
        try:
            for key in keys:
                together()
                existing = store.create(key, me.encode())
                answers[key][me] = "" if existing is None else existing.decode()
        except BaseException as error:
            faults.append(error)
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
