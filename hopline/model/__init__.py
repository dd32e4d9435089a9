"""The memory network, the token streams that it reads, and how it is scored."""
