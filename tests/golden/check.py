"""`python -m tests.golden.check`: say where the contracts are not what the golden files hold; 1 if anywhere."""

from __future__ import annotations

import sys

from tests.golden.goldens import WHAT_IT_TAKES, differences


def main() -> int:
    found = differences()
    for line in found:
        print(line)
    if found:
        print(WHAT_IT_TAKES)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
