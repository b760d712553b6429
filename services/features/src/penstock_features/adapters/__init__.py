"""How the features service meets Feast: one engine in this process, the heavy part in a child."""
