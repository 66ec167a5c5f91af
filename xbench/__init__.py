"""xbench measures how well what a multilingual encoder learns in one language works in another."""

__version__ = "0.1.0"
