"""What the flows, the worker and the command line share: references to jobs, Prefect's API, errors, the store.

May import the engine and nothing else of `proxx_flows`. Start with `reference.py`.
"""
