"""`longtail inspect DATA`: counts, faults and duplicates of a data set, without training."""
