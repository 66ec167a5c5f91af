"""Benchmarks: run with ``make bench``; never a part of the tests."""
