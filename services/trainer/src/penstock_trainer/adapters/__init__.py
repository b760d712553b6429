"""The launchers: one per place where attempts can run."""
