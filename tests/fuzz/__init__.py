"""Every reader of files that others wrote, on thousands of damaged and hostile ones; see tests/fuzz/README.md."""
