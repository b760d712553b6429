"""The pure rules of the features service: no I/O, no clock, no Feast."""
