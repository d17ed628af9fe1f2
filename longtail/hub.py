"""The Hugging Face hub: addresses, quiet calls, and failures in words without any token."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from longtail.errors import LongtailError

HUB = "hf:"  # begins a name of the hub
ADDRESS = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/@]+))?(?:/(?P<file>[^@]+))?")
# tokens of the hub, what follows Bearer, passwords and signatures of URLs
SECRETS = re.compile(
    r"(?:hf|api_org)_[a-z0-9]{8,}|(?<=Bearer )[^\s'\"]+|(?<=://)[^/\s@]+(?=@)|(?<=\?)[^\s'\"]+", re.IGNORECASE
)


@dataclass(frozen=True)
class HubAddress:
    """A repository of the hub, `owner/name`, at a revision (a branch, tag or commit) and with a file or folder, if named."""

    repo: str
    revision: str | None = None
    file: str | None = None

    @classmethod
    def parse(cls, text: str, inside: str = "[/file]") -> "HubAddress":
        """Parse `hf:owner/name[@rev][/file]`; raises LongtailError for any other text.

        `inside` is what the message says may follow; "" for an address that names no file.
        """
        match = ADDRESS.fullmatch(text)
        if not match or (match["file"] and not inside):
            raise LongtailError(f"{text} is no name of the hub; write hf:owner/name[@revision]{inside}")
        return cls(**match.groupdict())

    def __str__(self) -> str:
        revision, file = f"@{self.revision}" if self.revision else "", f" ({self.file})" if self.file else ""
        return f"{self.repo}{revision}{file}"


def is_hub_name(text: object) -> bool:
    """Return whether a text is meant as a name of the hub."""
    return isinstance(text, str) and text.startswith(HUB)


def describe_failure(error: BaseException) -> str:
    """Return in words why the hub did not give or take files, and a remedy."""
    from huggingface_hub import constants, errors

    if isinstance(error, errors.GatedRepoError):
        return "this repository is gated: accept its terms on huggingface.co, then log in with `hf auth login`"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "the hub has no such repository, or a private one; check the name, or log in with `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return "the repository has no such revision; check what follows @"
    if isinstance(error, errors.HFValidationError):
        return "this is no name of a repository; write hf:owner/name"
    missing = errors.LocalEntryNotFoundError | errors.CachedRepoTreeNotFoundError
    if constants.HF_HUB_OFFLINE and isinstance(error, missing | errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set and the file is not in the local cache; unset it, or take a local file"
    if isinstance(error, missing):
        return (
            "the hub cannot be reached and the file is not in the local cache; check the network, or take a local file"
        )
    return describe_answer(error)


def describe_answer(error: BaseException) -> str:
    """Return in words an answer of the hub that refuses a request, a lost connection, or any other error."""
    code = getattr(getattr(error, "response", None), "status_code", None)
    if code == 401:
        return "the hub does not accept your token; log in again with `hf auth login`"
    if code == 403:
        return f"your token may not do this ({hide_secrets(getattr(error, 'server_message', None) or 'forbidden')})"
    if code == 429 or (code or 0) >= 500:
        return f"the hub answers with error {code}; try again later, files that are complete are kept"
    if any(kind.__name__ == "TransportError" for kind in type(error).__mro__):
        name = type(error).__name__
        return f"the connection to the hub failed ({name}); try again, files that are complete are kept"
    return f"{type(error).__name__}: {hide_secrets(str(error))}"


def hide_secrets(text: str) -> str:
    """Return the first 160 characters of a text on one line, without tokens, passwords and query strings of URLs."""
    from huggingface_hub import get_token

    token = get_token()
    text = text.replace(token, "***") if token else text
    return SECRETS.sub("***", " ".join(text.split()))[:160]


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Silence the warnings of huggingface_hub within the context; it logs each of a dozen attempts to connect.

    Its progress bars are shown on a terminal only.
    """
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars

    logger = logging.getLogger("huggingface_hub")
    level, is_terminal = logger.level, sys.stderr is not None and sys.stderr.isatty()
    logger.setLevel(logging.ERROR)
    try:
        with nullcontext() if is_terminal or are_progress_bars_disabled() else disable_progress_bars():
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def report_failure(what: str) -> Iterator[None]:
    """Turn any error of the hub within the context into one line that begins with `what`, quietly."""
    try:
        with quiet_hub():
            yield
    except LongtailError:
        raise
    except Exception as error:  # the hub's own errors, those of its HTTP library, of the disk: any type
        raise LongtailError(f"{what}: {describe_failure(error)}") from None  # a cause could hold a token
