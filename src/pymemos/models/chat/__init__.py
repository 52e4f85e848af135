"""Chat models: endpoints, and how a setting becomes a model."""
