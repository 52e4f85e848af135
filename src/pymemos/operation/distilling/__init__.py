"""From memories to lessons, and from an adapter's answers to whether it may serve: pure, without a model (4.1, 4.2)."""
