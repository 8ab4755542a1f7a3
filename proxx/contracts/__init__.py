"""Everything that freezes at 1.0: the models of specs, profiles, events and results, their canonical bytes and
fingerprints, and the failure codes.

Nothing here imports another folder of proxx. Open `job.py` first: it is the contract that the others serve.
"""
