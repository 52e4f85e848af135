"""The unit: MemCube, its header and payload, the call that asks for it, and its wire form."""
