"""Adapters on a local model: trained on what memories say, stored as PEFT's, and gated by subject (ADR 0039)."""

from pymemos.models.local.tuning.tuner import LocalTuner as LocalTuner
