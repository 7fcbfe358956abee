"""Lists for a whole file of users, from the engine that answers requests."""
