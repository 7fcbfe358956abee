"""The recommenders: each is fitted on a `Dataset` and scores batches of histories."""
