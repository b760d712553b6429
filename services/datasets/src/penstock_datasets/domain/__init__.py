"""The pure rules of the datasets service: no I/O, no clock."""
