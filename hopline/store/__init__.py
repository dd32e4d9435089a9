"""Local folders, and objects in gs:// and s3://: written whole or not at all, copied with retries."""
