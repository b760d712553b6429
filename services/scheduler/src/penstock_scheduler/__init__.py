"""The scheduler: queues, quotas, the inventory of nodes, and where each job runs."""
