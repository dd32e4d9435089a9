"""Finds what there is to do: the corpus fingerprint, the champion, and train or skip."""
