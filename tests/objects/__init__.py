"""Object stores for tests: servers that really run, and a proxy that breaks the way to them."""
