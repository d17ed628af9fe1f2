"""The page of a run, served on a free port of this machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import longtail
from longtail.tryout import Answerer, TryServer
from longtail.tryout.page import render_page


@dataclass
class Served:
    """The server, what answers, and the photograph of a digit."""

    server: TryServer
    answerer: Answerer
    photo: bytes


@contextmanager
def serve(run) -> Iterator[tuple[TryServer, Answerer]]:
    """Serve the page of a run within the context, with its training images read."""
    answerer = Answerer(longtail.load(run, device="cpu", threads=1))
    about = answerer.describe()
    with TryServer(0, render_page(about, 32 << 20), about, answerer.answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        answerer.neighbors.start()
        answerer.neighbors.thread.join()
        yield server, answerer
        server.shutdown()
