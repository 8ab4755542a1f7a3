"""What the command line of every verb shares: options, output, exit statuses, and how failures are shown.

Used by `proxx.cli` and by the verbs of other packages; it imports the engine but none of the verbs. Open
`running.py` first: it runs one command line.
"""
