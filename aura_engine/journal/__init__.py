"""The event store (SQLite, write-ahead log) and the lock that keeps a second engine out."""
