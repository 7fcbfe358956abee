"""Deciding a page: pure from the decoded request to the slates and their exposures.

    request → visit → shelf → recipes → fill → explore → page, exposures

`engine` is the only module here that waits for anything; it gathers what `decide` needs.
"""
