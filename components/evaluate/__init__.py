"""Challenger and champion on one frozen split, and the decision between them."""
