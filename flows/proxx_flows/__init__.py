"""Phase 2: a registered job is one Prefect flow run, whose one task is one call of the engine."""
