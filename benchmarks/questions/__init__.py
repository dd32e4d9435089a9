"""Questions that people ask about such models, answered by running code (docs/questions)."""
