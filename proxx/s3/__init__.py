"""Talks to object storage: requests, resends, faults, uploads in parts. It knows nothing of jobs, clips or proxies.

May import `proxx.contracts` only. Open `bucket.py` first: it has every request, and `transport.py` sends them.
"""
