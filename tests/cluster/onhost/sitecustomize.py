"""What a test changes about the runs on one of its hosts, without a word of it in the product.

PROXX_TEST_LAUNCHER: what comes before the encoder's argv, an emulator of another CPU. PROXX_TEST_PATIENCE: seconds
that storage may be silent before that counts as a fault.
"""

import os
import shlex
import sys


def default(kind: type, name: str, value: object) -> None:
    """What a field of the dataclass is where nobody says otherwise."""
    defaults = kind.__init__.__kwdefaults__  # type: ignore[misc]
    assert name in defaults
    defaults[name] = value


if "prefect.engine" in sys.orig_argv:
    if launcher := os.environ.get("PROXX_TEST_LAUNCHER"):
        from proxx.engine.execute import RunEnvironment

        default(RunEnvironment, "launcher", tuple(shlex.split(launcher)))
    if patience := os.environ.get("PROXX_TEST_PATIENCE"):
        from proxx.s3 import client as wireclient
        from proxx.s3 import transport as wire

        default(wire.TransportTiming, "patience", float(patience))
        assert "CONNECT_SECONDS" in vars(wireclient)
        vars(wireclient)["CONNECT_SECONDS"] = int(patience)
