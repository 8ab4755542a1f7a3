"""The proof on separate hosts: machines made of namespaces, which share an object store and the Prefect API alone."""
