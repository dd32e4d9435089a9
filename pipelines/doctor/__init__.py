"""What is missing for a run on this machine, for a kind cluster, or on a cluster, and how to mend it."""
