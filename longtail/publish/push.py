"""A finished run as a repository of the hub: weights, class table, results and a model card, in one commit."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from longtail.errors import LongtailError
from longtail.hub import HUB, HubAddress, report_failure
from longtail.publish.card import render_card
from longtail.publish.fetch import RUN_FILES
from longtail.publish.scrub import prepare_files
from longtail.recipe import is_weights_path
from longtail.runs.finished import FinishedRun
from longtail.runs.folder import MANIFEST
from longtail.runs.results import ENCODER_WEIGHTS

if TYPE_CHECKING:
    from huggingface_hub import HfApi

CARD = "README.md"
NEUTRAL = {".gitattributes", CARD}  # files that the hub makes


@dataclass(frozen=True)
class Pushed:
    """A pushed run: the repository `owner/name`, the commit, the number of files, and the address of the page."""

    repo: str
    commit: str
    files: int
    url: str


def push_run(path: str | Path, repo: str, private: bool = False) -> Pushed:
    """Push a finished run to the hub as `owner/name`, with a model card made from the run, in one commit.

    A new repository is public unless `private`. An earlier run of the repository stays in its history; a repository that
    holds something else is not touched. Raises LongtailError if the run is damaged or the hub does not take it.
    """
    address = HubAddress.parse(repo if repo.startswith(HUB) else f"{HUB}{repo}", "")
    if address.revision:
        raise LongtailError(f"a push makes a new commit, so {repo} names no revision; write owner/name")
    run = FinishedRun.open(path)
    check_loadable(run)
    files = prepare_files(run) | {CARD: render_card(run, address.repo).encode()}
    import huggingface_hub

    with report_failure(f"push to {address.repo}"):
        if huggingface_hub.get_token() is None:
            raise LongtailError("a push needs a token of the hub that may write: log in with `hf auth login`")
        api = huggingface_hub.HfApi()
        stale = check_repository(api, address.repo, private) - files.keys()
        add = [
            huggingface_hub.CommitOperationAdd(name, content if isinstance(content, bytes) else str(content))
            for name, content in files.items()
        ]
        remove = [huggingface_hub.CommitOperationDelete(name) for name in stale]
        title = f"{run.recipe.method}, seed {run.recipe.seed}, by longtail"
        made = api.create_commit(address.repo, [*add, *remove], commit_message=title)
    return Pushed(address.repo, str(made.oid), len(files), f"{api.endpoint}/{address.repo}")


def check_loadable(run: FinishedRun) -> None:
    """Raise LongtailError for a run that nobody else could load: damaged, or slim with an encoder from a file."""
    run.load_method()
    recipe = run.recipe
    if recipe.frozen and not run.folder.has(ENCODER_WEIGHTS) and is_weights_path(str(recipe.weights)):
        raise LongtailError(
            f"{run.path} is slim and its encoder came from {recipe.weights}, which nobody else has; train it without --slim"
        )


def check_repository(api: "HfApi", repo: str, private: bool) -> set[str]:
    """Make the repository unless it is there; return the files of an earlier run in it.

    Raises LongtailError if it holds something else, or is public where `private` is asked for.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        found = api.model_info(repo)
    except RepositoryNotFoundError:
        api.create_repo(repo, private=private or None)
        return set()
    if private and not found.private:
        raise LongtailError(f"{repo} is there already and is public; leave --private out, or choose another name")
    names = {sibling.rfilename for sibling in found.siblings or []}
    if names - NEUTRAL and not {"recipe.json", MANIFEST} <= names:
        raise LongtailError(
            f"{repo} holds something else ({min(names - NEUTRAL)}) and is left as it is; choose another name"
        )
    return names & set(RUN_FILES)
