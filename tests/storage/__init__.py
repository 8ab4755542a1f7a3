"""Whole jobs whose sources, outputs and store are in object storage."""
