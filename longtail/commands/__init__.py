"""The command line, one file a command; the only home of cyclopts and rich."""
