"""The pipeline, and the `hopline` command that compiles and runs it."""
