"""Training on a Kubernetes cluster: an Indexed Job, watched to its end."""
