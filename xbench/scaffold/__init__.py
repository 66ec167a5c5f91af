"""``xbench new-task``: a whole installable plugin from a name, a schema and rows, or from sample rows."""
