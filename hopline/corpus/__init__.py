"""The corpus as files: which there are, what they hold, and to which split a document belongs."""
