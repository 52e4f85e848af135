"""The surfaces: doors for people and programs, each thin, none knows another."""
