"""The container images of the steps: constants, because Kubeflow fixes a step's image when it compiles.

The tag is the version: Kubeflow caches results by the image's name, so a name must never change its meaning.
"""

VERSION = "0.1.0"

PREPROCESS = f"hopline-preprocess:{VERSION}"  # Beam, TensorFlow Transform
TRAIN = f"hopline-train:{VERSION}"  # TensorFlow, Keras: train and evaluate
CONTROL = f"hopline-control:{VERSION}"  # no TensorFlow: resolve and promote

BY_STEP = {"resolve": CONTROL, "preprocess": PREPROCESS, "train": TRAIN, "evaluate": TRAIN, "promote": CONTROL}
