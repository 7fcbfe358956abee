"""Who has a core, and the interpreter, at which moment: pages go first."""
