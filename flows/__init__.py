"""Phase 2: every registered job is one Prefect flow run, whose one task is one call of the engine. Nothing here decides."""
