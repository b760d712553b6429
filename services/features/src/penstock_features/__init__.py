"""Features: Feast repositories, materialisation and point-in-time training sets."""
