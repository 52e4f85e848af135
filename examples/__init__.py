"""Programs that use pymemos as an application would."""
