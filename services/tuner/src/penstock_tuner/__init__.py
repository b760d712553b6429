"""The tuner: experiments, and the trials that search for their best parameters."""
