"""Makes an approved model the champion of the registry."""
