"""A small shop at ``/demo`` over the live catalogue: what a page filled by Endcap looks like.

It uses the service as any shop does, through ``endcap.js`` under a publishable key.
"""
