"""The interface layer: the Memory API, through which every call passes, and what prepares calls (5.3)."""
