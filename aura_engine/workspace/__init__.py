"""The git store, checkouts, snapshots, merging and delivery: how work is kept, handed out and brought home."""
