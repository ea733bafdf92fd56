"""The model APIs that the planner can talk to: one file per wire protocol."""
