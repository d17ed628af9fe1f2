"""`longtail try`: a page on this machine that shows what a trained model says of a photograph."""

from longtail.tryout.answers import Answerer
from longtail.tryout.server import TryServer

__all__ = ["Answerer", "TryServer"]
