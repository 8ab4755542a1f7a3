"""Runs the command `proxx` for `python -m proxx`."""

from proxx.cli.main import main

main()
