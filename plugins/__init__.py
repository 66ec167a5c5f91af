"""The task plugins and model sources that come with xbench. They use `xbench.api` and nothing else of it."""
