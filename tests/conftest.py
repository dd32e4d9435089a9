"""What holds for every test."""

import signal

# A shell starts what runs in the background with SIGINT ignored, and children would inherit that: several tests are of
# Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
