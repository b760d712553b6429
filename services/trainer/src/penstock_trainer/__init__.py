"""The trainer: runs jobs, one attempt at a time, as local processes or on Kubernetes.

Nothing is imported here: the runner starts once per attempt and must start fast.
"""
