"""What one worker process holds open, and what of it is built from what.

`services` puts the subsystems together, each file beside it builds one of them; `service.app` makes
the app around them. Nothing else builds an adapter.
"""
