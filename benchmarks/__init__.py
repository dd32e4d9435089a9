"""Runnable comparisons; results with date, commit and command are in README.md."""
