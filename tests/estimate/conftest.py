"""Photographs and weights of the tests of frozen runs."""

from tests.features.test_frozen import photos, settings, weights

__all__ = ["photos", "settings", "weights"]
