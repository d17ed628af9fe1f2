"""Using a trained model: images from anywhere, predictions, a target class prior, export."""
