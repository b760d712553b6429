"""Penstock registry: models, versions, aliases, lineage, promotion gates."""
