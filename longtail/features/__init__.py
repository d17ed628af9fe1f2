"""Frozen encoders: features are computed once for each image, cached by content, and used as a data set."""

from longtail.features.cache import ABOUT, CACHE_VARIABLE, FeatureCache, cache_root, clear_cache, list_cache
from longtail.features.extract import Extractor, build_extractor, find_cached_features, load_test_features

__all__ = [
    "ABOUT",
    "CACHE_VARIABLE",
    "Extractor",
    "FeatureCache",
    "build_extractor",
    "cache_root",
    "clear_cache",
    "find_cached_features",
    "list_cache",
    "load_test_features",
]
