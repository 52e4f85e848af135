"""Embedders: a folder with an ONNX model, an endpoint, and the catalogue of what can be prepared (ADR 0018)."""
