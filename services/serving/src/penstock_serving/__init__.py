"""Serving: endpoints, their revisions and rollouts, and the inference data plane."""
