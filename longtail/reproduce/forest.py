"""The claims as a forest plot: a row for each claim, a mark with its interval for each place."""

import io
from pathlib import Path

from longtail.analysis.picture import make_figure
from longtail.analysis.style import EXPERTS, QUIET, RC
from longtail.reproduce.claims import CLAIMS, PLACES, Finding
from longtail.runs.files import write_bytes

MARKS = "osD^vPX*hd"


def draw_forest(findings: list[Finding], path: Path) -> None:
    """Draw the findings, positive on the claimed side, as an SVG on white; equal findings give equal bytes."""
    import matplotlib

    claims = [claim for claim in CLAIMS if any(found.claim == claim for found in findings)]
    places = [place for place in PLACES if any(found.place == place for found in findings)]
    with matplotlib.rc_context(RC | {"svg.hashsalt": "claims"}):
        figure = make_figure(8.4, 0.9 + 0.52 * len(claims))
        ax = figure.subplots()
        for found in findings:
            number, row = places.index(found.place), claims.index(found.claim)
            low, high = found.interval or (found.mean, found.mean)
            ax.errorbar(
                found.mean,
                row + (number - (len(places) - 1) / 2) * 0.8 / len(places),
                xerr=[[found.mean - low], [high - found.mean]],
                color=EXPERTS[number % len(EXPERTS)],
                marker=MARKS[number % len(MARKS)],
                markersize=5,
                markerfacecolor=None if found.interval else "white",
                elinewidth=1.4,
            )
        for number, place in enumerate(places):
            style = {"color": EXPERTS[number % len(EXPERTS)], "marker": MARKS[number % len(MARKS)], "linestyle": ""}
            ax.plot([], [], label=place.heading.replace("`", ""), **style)
        printed = [(abs(claim.printed), row) for row, claim in enumerate(claims) if claim.printed is not None]
        ax.plot(
            *zip(*printed, strict=True), color="black", marker="|", markersize=14, linestyle="", label="in the paper"
        )
        ax.axvline(0, color=QUIET, linewidth=1)
        ax.set_yticks(range(len(claims)), [claim.text for claim in claims])
        ax.set_ylim(len(claims) - 0.5, -0.5)
        ax.set_xlabel(
            "difference in points; right of zero: as claimed\nbars: 95 % interval over seeds; hollow: one seed"
        )
        ax.grid(axis="x")
        figure.legend(loc="outside upper center", ncols=3)
        content = io.BytesIO()
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content.getvalue())
