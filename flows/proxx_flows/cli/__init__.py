"""The verbs that need Prefect: `submit`, `audit` and the `demo` that goes through a flow run."""
