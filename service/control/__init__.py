"""The control plane: documents that merchandisers change, compiled to a configuration."""
