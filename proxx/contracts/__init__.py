"""Everything that freezes at 1.0: specs, profiles, events and results as models, their bytes, and the failure codes.

Nothing here imports another folder of proxx. Open `job.py` first: it is the contract that the others serve.
"""
