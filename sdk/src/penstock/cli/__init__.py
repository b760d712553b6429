"""The command line `penstock <noun> <verb>`; see `main` for how commands are found.

A noun with more verbs than `ls` and `show` has a module of its own here; the tables of all nouns
are in `views`. Command modules import what costs time only when a command runs.
"""
