"""Promoted models: versions, the champion, their history."""
