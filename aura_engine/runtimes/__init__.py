"""Where workers run: the shim that outlives the engine, and the local runtime that drives it."""
