"""Barriers for people with disabilities on a page, as axe-core finds them; axe-core is a tool of the tests only."""

from typing import Any


def find_barriers(
    page: Any, impacts: tuple[str, ...] = ("critical", "serious", "moderate", "minor")
) -> list[tuple[str, str]]:
    """Return rule and first element of each violation of these impacts on a page of playwright."""
    from axe_playwright_python.sync_playwright import Axe

    violations = Axe().run(page).response["violations"]
    return [(found["id"], found["nodes"][0]["html"]) for found in violations if found["impact"] in impacts]
