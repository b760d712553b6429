"""How the datasets service reads and stores files."""
