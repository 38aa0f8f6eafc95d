"""A real language model on this machine: its weights and a server for them, both opt-in."""
