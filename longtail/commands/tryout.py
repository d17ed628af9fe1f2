"""The command `longtail try`."""

import os
from typing import Annotated

from cyclopts import Parameter

from longtail.commands.flags import Device, Root, Selected, Threads, parse_integer
from longtail.data.catalog import resolve_path
from longtail.errors import LongtailError, escape_controls


def try_run(
    run: str,
    /,
    *,
    port: Annotated[int, Parameter(help="port of this machine; 0 takes a free one", converter=parse_integer)] = 0,
    root: Root = None,
    data: Annotated[str | None, Parameter(help="new path of custom data that were moved, or hf:owner/name")] = None,
    selected: Selected = False,
    device: Device = "auto",
    threads: Threads = None,
) -> int:
    """Open a page on this machine, behind a key that is used once, that classifies a photograph.

    The page shows classes, votes, the effect of a class prior and the nearest training images; Ctrl-C ends it.
    """
    if not 0 <= port < 65536:
        raise LongtailError(f"port is {port}; it is a number from 0 to 65535")
    from longtail import api
    from longtail.data.decode import suppress_pillow_warnings
    from longtail.tryout import Answerer, TryServer
    from longtail.tryout.page import render_page
    from longtail.tryout.server import MOST_BYTES

    answerer = Answerer(
        api.load(run, selected=selected, device=device, threads=threads), root, data and resolve_path(data)
    )
    about = answerer.describe()
    with TryServer(port, render_page(about, MOST_BYTES), about, answerer.answer) as server, suppress_pillow_warnings():
        for note in answerer.notes:
            print(escape_controls(f"longtail: {note}"), flush=True)
        try:
            answerer.neighbors.start()
            print(f"{server.address}  open it in a browser on this machine, once; Ctrl-C ends it", flush=True)
            server.serve_forever()
        except KeyboardInterrupt as stop:
            print("longtail: the page is closed", flush=True)
            code = 143 if stop.args else 0
            if not answerer.neighbors.stop():
                os._exit(code)  # a thread that still reads images would crash the end of the interpreter
            return code
    return 0
