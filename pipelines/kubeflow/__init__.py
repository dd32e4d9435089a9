"""What we ask of a Kubeflow Pipelines server."""
