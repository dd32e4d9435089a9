"""The container images of the steps: fixed when the pipeline is compiled.

The tag is the version: Kubeflow caches results by the image's name, so a name must never change its meaning.  For code
between two versions `make images` also tags by commit, which `[cluster] tag` then names.
"""

from hopline.runtime.version import VERSION

PREPROCESS = f"hopline-preprocess:{VERSION}"  # Beam, TensorFlow Transform
TRAIN = f"hopline-train:{VERSION}"  # TensorFlow, Keras: train and evaluate
CONTROL = f"hopline-control:{VERSION}"  # no TensorFlow: resolve, promote and notify
USER = 10001  # and its group, as whom all of them run
