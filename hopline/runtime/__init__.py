"""What every program of ours needs while it runs: errors, exit codes, child processes, progress."""
