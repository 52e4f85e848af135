"""Retrieval: candidates from every index, ranked by a sum of signals that explains itself (5.4.1)."""
