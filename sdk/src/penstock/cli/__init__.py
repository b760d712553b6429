"""The command line `penstock <noun> <verb>`; see `main` for how commands are found."""
