"""Words that name the subsets train, val and test in names of files and folders, and in cells of tables.

The words are those of Hugging Face datasets (`datasets.data_files`), and holdout.
"""

import re
from collections.abc import Iterable
from itertools import pairwise

from longtail.errors import LongtailError, unknown_name

WORDS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "eval", "evaluation", "holdout"),
}
SUBSET_BY_WORD = {word: subset for subset, words in WORDS.items() for word in words} | {"trainval": "train"}
COMPOUND = re.compile(f"({'|'.join(SUBSET_BY_WORD)})(set|split|data|images|imgs|files)")


def find_named_subsets(name: str) -> set[str]:
    """Return the subsets that the words of a name stand for: photos-test, test1, evalSet and hold_out are all test.

    Words end at every character that is no letter, and before a capital letter inside a word.
    """
    spaced = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])", " ", name)
    words = re.findall(r"[^\W\d_]+", spaced.lower())
    words += [first + second for first, second in pairwise(words) if second == "out"]
    stems = [match[1] if (match := COMPOUND.fullmatch(word)) else word for word in words]
    return {SUBSET_BY_WORD[word] for word in stems if word in SUBSET_BY_WORD}


def parse_subset_name(text: str, where: str) -> str:
    """Return the subset that a cell of the column `split` names; raises LongtailError for any other word."""
    try:
        return SUBSET_BY_WORD[text.strip().lower()]
    except KeyError:
        error = unknown_name("split", text.strip(), SUBSET_BY_WORD)
        raise LongtailError(f"{where}: {error}") from None


def misnamed_split_error(where: str, column: str, words: Iterable[str]) -> LongtailError:
    """Return the error for a column that holds names of subsets under another name than split."""
    return LongtailError(
        f"{where}: column {column} holds names of subsets ({', '.join(sorted(words))}) but is not named split; "
        "rename it to split, or remove it"
    )
