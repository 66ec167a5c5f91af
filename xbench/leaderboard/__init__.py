"""Records to tables: pure, deterministic, and made from records alone."""
