"""Numbers with their nouns, for messages and pages."""


def format_count(n: int, singular: str, plural: str | None = None) -> str:
    """Format a number with a noun; without `plural`, the plural takes an s."""
    return f"{n:,} {singular if n == 1 else plural or f'{singular}s'}"
