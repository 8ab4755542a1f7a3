"""Whole jobs with their sources, outputs and store in object storage."""
