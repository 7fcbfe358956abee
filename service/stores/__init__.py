"""The SQL stores: the control plane and the events, each a SQLite file in WAL mode."""
