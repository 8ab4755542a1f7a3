"""Submission of jobs: selects jobs by spec file or id, gives each attempt one flow run, and summarizes the outcomes.

May import the engine (but not `proxx.cli`) and `proxx_flows.common`. Open `submit.py` first; `summary.py` is what
`make-proxies` returns.
"""
