"""A simulated shop whose truth is known: catalogue, shoppers with tastes, history, live visits.

It stands beside the trainer and talks to the service over HTTP only. Tests use the same world.
"""
