"""Tools for tests: doubles, builders, Hypothesis strategies, and the contracts that every adapter passes."""
