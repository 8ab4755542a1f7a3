"""`python -m proxx_flows.worker` starts a worker."""

from __future__ import annotations

from proxx_flows.worker.serve import main

if __name__ == "__main__":
    main()
