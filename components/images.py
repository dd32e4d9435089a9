"""The container images of the steps: fixed when the pipeline is compiled.

Kubeflow caches results by the image's name, so a name must never change its meaning: `make images` tags by commit, and
by the version only the commit of its release.  On a cluster `[cluster] tag` says which; on this machine, for
`hopline run --runner docker`, the environment does.
"""

import os

from hopline.runtime.version import VERSION

TAG_VARIABLE = "HOPLINE_IMAGE_TAG"
_TAG = os.environ.get(TAG_VARIABLE) or VERSION
PREPROCESS = f"hopline-preprocess:{_TAG}"  # Beam, TensorFlow Transform
TRAIN = f"hopline-train:{_TAG}"  # TensorFlow, Keras: train and evaluate
CONTROL = f"hopline-control:{_TAG}"  # no TensorFlow: resolve, promote and notify
USER = 10001  # and its group, as whom all of them run


def tag_of(revision: str) -> str:
    """The tag that `make images` gives to a revision of git, `<commit>[+changes]`; the version without a commit."""
    commit, changes, _ = revision.partition("+changes")
    return f"{commit[:12]}{'-changes' if changes else ''}" if commit else VERSION
