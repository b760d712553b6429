"""The tuner's adapters, one module a library."""
