"""Checks whether this machine can make proxies: Python and packages, encoder builds, CPU, work folder, storage.

Imports the folders below it (contracts, ffmpeg, s3, decide, files, store, create), never the engine or the command
line.
Open `machine` first: it runs every check and returns the findings.
"""
