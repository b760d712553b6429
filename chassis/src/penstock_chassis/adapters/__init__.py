"""The real ports: one sub-package or module a technology."""
