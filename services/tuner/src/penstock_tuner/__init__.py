"""Penstock tuner: experiments and trials."""
