"""The command line, one file per command; only this package uses cyclopts and rich.

No module here loads torch when it is imported: a command imports what it needs when it runs, so that help, completion
and errors of typing are fast.
"""
