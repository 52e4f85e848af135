"""The facade: the methods of MemOS by what they are about; each turns its arguments into one call (5.3.2)."""
