"""What a rollout did: sums from the event store, estimates, and how they are shown."""
