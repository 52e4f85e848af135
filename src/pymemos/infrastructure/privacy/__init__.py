"""The privacy subsystem of MemGovernance: what a text holds that is personal or secret (5.5.1, ADR 0030)."""
