"""A fleet: who may read what, how its commands are sent, and how the host reads and writes messages."""
