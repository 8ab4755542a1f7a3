"""Tests on separate hosts: machines made of Linux namespaces that share only an object store and the Prefect API."""
