"""The command `longtail push`."""

from typing import Annotated

from cyclopts import Parameter

from longtail.errors import escape_controls


def push(
    run: str,
    repo: Annotated[str, Parameter(help="repository of the hub, owner/name; a new one is made")],
    /,
    *,
    private: Annotated[bool, Parameter(help="make the new repository private", negative="")] = False,
) -> None:
    """Push a finished run to the Hugging Face hub, with a model card made from the run; a token comes from `hf auth login`."""
    from longtail.publish import push_run

    pushed = push_run(run, repo, private)
    print(escape_controls(f"{pushed.url}: {pushed.files} files, commit {pushed.commit[:12]}"))
    print(escape_controls(f'load it by longtail.load("hf:{pushed.repo}"), or longtail predict hf:{pushed.repo} PHOTOS'))
