"""What a test changes about the runs on one of its hosts, without a word of it in the product.

PROXX_TEST_LAUNCHER: what comes before the encoder's argv, an emulator of another CPU. PROXX_TEST_PATIENCE: seconds
that storage may be silent before that counts as a fault.
"""

import os
import sys

if "prefect.engine" in sys.orig_argv:
    if launcher := os.environ.get("PROXX_TEST_LAUNCHER"):
        from proxx.execute import Site

        (Site.__init__.__kwdefaults__ or {})["launcher"] = tuple(launcher.split())
    if patience := os.environ.get("PROXX_TEST_PATIENCE"):
        from proxx import wire

        (wire.Pace.__init__.__kwdefaults__ or {})["patience"] = float(patience)
        vars(wire)["CONNECT_SECONDS"] = int(patience)
