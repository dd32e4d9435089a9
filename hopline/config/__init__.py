"""The sections of the configuration that steps read, one module each."""
