"""HTTP below the framework: connections, heads, and answers that need no task."""
