"""The whole configuration, and the sections that only Kubeflow needs."""
