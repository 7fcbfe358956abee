"""What stands around every route: keys, bodies, refusals, origins, what /schema says."""
