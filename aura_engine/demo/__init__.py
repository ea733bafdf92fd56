"""The scripted model: a real HTTP server on loopback that plays a model's part, for `aura demo` and the tests."""
