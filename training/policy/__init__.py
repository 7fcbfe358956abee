"""What another policy would have earned, from the log of one that left a share to chance."""
