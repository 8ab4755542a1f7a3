"""Proof of what was made: checks published proxies, encodes clips again and compares the bytes, predicts upgrades.

May import every folder but `console`, `doctor` and `cli`. It changes no job, no store and no output. Open `verify`
first, then `reproduce`; `sample` and `compare` do the same for all jobs of a store, `upgrade` for changed rules.
"""
