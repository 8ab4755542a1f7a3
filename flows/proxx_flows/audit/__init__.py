"""The audit: compares the job store with the flow runs in Prefect, job by job, and changes neither.

May import the engine (but not `proxx.cli`) and `proxx_flows.common`. Open `audit.py` first; the rules are in
`verdict.py`.
"""
