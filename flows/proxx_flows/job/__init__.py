"""One flow run around the engine's call: loads the job, reports progress, handles signals, builds the final state.

May import `common` and the engine. Start with `registered_job.py`, then `reporter.py` and `final_state.py`.
"""
