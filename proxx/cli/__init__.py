"""The command: one module a verb, loaded when it is asked for."""
