"""Learning how often each banner is clicked, in the background of serving."""
