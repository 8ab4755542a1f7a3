"""The engine: runs one job on one machine, from its spec to its result.

May import every folder except `create`, `proof`, `doctor`, `console` and `cli`. Start with `execute`.
"""
