"""Inputs that raise the `UserError`s of the tree, and what following their remedies comes to."""
