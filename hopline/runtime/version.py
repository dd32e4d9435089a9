"""The version of hopline, which an image does not have as an installed distribution."""

VERSION = "0.2.0"
