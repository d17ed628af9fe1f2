"""Run folders: atomic file writing, the folder of one run, and the one reader of finished runs."""
