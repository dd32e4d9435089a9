"""Failures of other workers are told by what happened, not by where in TensorFlow."""

import pytest
import tensorflow as tf

from components.train.launch.faults import explained
from hopline.runtime.errors import LostPeersError

AT = "Graph execution error:\n\nDetected at node CollectiveReduceV2 defined at (most recent):\n  File 'x', line 1\n\n"
LOST = "Collective ops is aborted by: recvmsg:Connection reset by peer"


@pytest.mark.parametrize("message", [LOST, AT + LOST + "\nRestart your program to reset.", AT + LOST])
def test_a_lost_peer_is_told_with_the_reason(tmp_path, message):
    error = tf.errors.UnavailableError(None, None, message)
    with pytest.raises(LostPeersError) as caught, explained("worker 1", tmp_path, alone=False):
        raise error
    assert caught.value.message == f"worker 1 lost its peers: UnavailableError: {LOST}"


def test_a_worker_alone_has_no_peers_to_lose(tmp_path):
    with pytest.raises(tf.errors.UnavailableError), explained("worker 0", tmp_path, alone=True):
        raise tf.errors.UnavailableError(None, None, LOST)
