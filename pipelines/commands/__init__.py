"""The commands of `hopline`, one module each: `add` declares one, its function imports what it needs when it runs."""
