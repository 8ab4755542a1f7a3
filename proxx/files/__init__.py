"""Moves bytes in and out of places: reads and checks sources, stages, publishes and uploads proxies, keeps workdirs.

May import the layers below it, and needs only `proxx.s3` and `proxx.contracts`. Open `transfer.py` first: it has the
two ends of a clip, on a file system and in a bucket.
"""
