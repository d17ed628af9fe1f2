"""A trained model in use: images from files and arrays, predictions, a target class prior, export."""
