"""Migrations of control.sqlite."""
