"""What the service says of itself: logs, metrics, and how long each stage took."""
