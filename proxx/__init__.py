"""Proxx makes editing proxies from camera originals, and can prove what it made (Phase 1: the engine)."""
