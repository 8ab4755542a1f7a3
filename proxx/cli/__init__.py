"""The `proxx` command: one module for each verb, imported when the verb is used.

It may import everything else in `proxx`; nothing imports it. Open `main.py` first, then the module of a verb.
"""
