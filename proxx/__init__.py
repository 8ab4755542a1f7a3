"""Proxx makes editing proxies from camera originals, and can prove what it made. This package is the engine."""
