"""`python -m proxx` is the command `proxx`."""

from proxx.cli.main import main

main()
