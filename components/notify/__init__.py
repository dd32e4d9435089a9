"""The step that says how a run on a cluster ended."""
