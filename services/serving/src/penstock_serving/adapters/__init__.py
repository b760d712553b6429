"""The outside of serving: HTTP, worker processes, model frameworks."""
