"""The operation layer: what to look for and where, what to keep in reach, when to move it (5.4)."""
