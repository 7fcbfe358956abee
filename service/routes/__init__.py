"""The HTTP interface: each module is one kind of thing under /v1, and only translates."""
