"""Runs proxx jobs on Prefect: one registered job is one flow run with one task, which calls the engine once.

Imports `proxx` (the engine) and Prefect; the engine imports nothing from here. Start with `proxy_job.py`, the flow of
one job, then `make_proxies.py`, the flow for pipelines.
"""
