"""Local models over transformers and torch, as engines: memory reaches their caches and their layers (ADR 0033)."""

from pymemos.models.local.engine import LocalEngine as LocalEngine
from pymemos.models.local.loading import open_local as open_local
