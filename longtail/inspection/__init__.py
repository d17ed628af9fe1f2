"""`longtail inspect DATA`: what a data set holds and what is wrong with it, in seconds and without training."""
