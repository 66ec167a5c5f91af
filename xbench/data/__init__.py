"""Where rows come from, what they hold, and who they are."""
