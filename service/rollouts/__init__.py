"""Rollouts: which share of the units gets which variant. Pure: no clock, no store."""
