"""One package per step: `component.py` declares it to Kubeflow, the rest is the program."""
