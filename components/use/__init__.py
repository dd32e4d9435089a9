"""Programs that use a promoted model, started by the commands `hopline score`, `generate`, `rescore` and `serve`."""
