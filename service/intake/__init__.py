"""Takes events and exposures in: decodes, identifies, commits in groups, shows the newest."""
