"""The commands that need Prefect: `submit`, `audit` and `demo`. `proxx` loads them as entry points.

May import the engine and every other folder of `proxx_flows`. Open `submit.py` or `audit.py` first.
"""
