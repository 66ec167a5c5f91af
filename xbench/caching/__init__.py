"""What the cache keeps: looked through, checked, and made smaller."""
