"""What the shop as a whole does: orders, funnel, channels, coverage, segments. Read models only."""
