"""Adapters: one package per outside system that a port is filled from."""
