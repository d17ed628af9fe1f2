"""Finished runs on the Hugging Face hub: pushed with a model card, and fetched to be loaded."""

from longtail.publish.fetch import fetch_run
from longtail.publish.push import Pushed, push_run

__all__ = ["Pushed", "fetch_run", "push_run"]
