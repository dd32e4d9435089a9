"""Beside a TensorFlow Serving server: gives it the champion's version, and changes over after a promotion."""
