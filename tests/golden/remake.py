"""`python -m tests.golden.remake`: make the golden files anew, on purpose. Read the diff before committing it."""

from __future__ import annotations

import sys

from tests.golden.goldens import FOLDER, differences, remake


def main() -> int:
    for line in differences():
        print(line)
    remake()
    print(f"Made anew: {len(list(FOLDER.iterdir()))} files in {FOLDER}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
