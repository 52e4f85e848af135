"""The infrastructure layer: the parts that know text, storage and machines, and nothing of what is remembered."""
