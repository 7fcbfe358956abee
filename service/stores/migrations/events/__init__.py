"""Migrations of events.sqlite."""
