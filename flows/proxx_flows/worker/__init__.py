"""The worker process that takes runs from a Prefect work pool, and the check of its machine before it takes any.

May import `common` and the engine, and nothing of the other folders. Start with `serve.py`.
"""
