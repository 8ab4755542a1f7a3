"""Changes that a test makes to the runs on its hosts; the product itself has no such settings.

PROXX_TEST_LAUNCHER: the command before the encoder's argv, an emulator of another CPU. PROXX_TEST_PATIENCE: seconds
without an answer from storage that count as a fault.
"""

import os
import shlex
import sys


def default(kind: type, name: str, value: object) -> None:
    """Sets the default of a field of a dataclass."""
    defaults = kind.__init__.__kwdefaults__  # type: ignore[misc]
    assert name in defaults
    defaults[name] = value


if "prefect.engine" in sys.orig_argv:
    if launcher := os.environ.get("PROXX_TEST_LAUNCHER"):
        from proxx.engine.execute import RunEnvironment

        default(RunEnvironment, "launcher", tuple(shlex.split(launcher)))
    if patience := os.environ.get("PROXX_TEST_PATIENCE"):
        from proxx.s3 import client, transport

        default(transport.TransportTiming, "patience", float(patience))
        assert "CONNECT_SECONDS" in vars(client)
        vars(client)["CONNECT_SECONDS"] = int(patience)
