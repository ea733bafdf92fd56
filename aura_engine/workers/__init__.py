"""Layer 2: one file per worker program (how to launch it, what its stream says, how it ended)."""
