"""Using a model: finding it, scoring, generating.  `hopline.load` is the way in."""
