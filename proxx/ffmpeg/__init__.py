"""The encoder: finding and running the pinned ffmpeg builds, probing media files, and building the encode command.

Imports only `proxx.contracts`; it knows nothing of jobs in progress, stores or Prefect. `process` is the only module
that starts programs. Open `command` first: it turns one clip of a spec into one ffmpeg argv.
"""
