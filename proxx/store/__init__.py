"""The job store: jobs, their events, the lock of each attempt, and the claims on outputs.

May import `contracts`, `s3` and `files`. Start with `base` (what a store can do), then `keys` (what is in it) and
`lock` (how a worker takes an attempt).
"""
