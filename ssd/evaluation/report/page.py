"""The report on an evaluation: one HTML page that needs no other file, and its pictures as files."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from ssd.evaluation.matches import Matches
from ssd.evaluation.report import SHOWN_SCORE, plots
from ssd.evaluation.report.confusion import confusion_matrix
from ssd.evaluation.report.gallery import Case, best_detections, confident_false_positives, draw_case, missed_objects
from ssd.evaluation.report.mistakes import classify_errors, error_breakdown
from ssd.evaluation.summary import COLUMNS, cell_text, summary_lines
from ssd.files import write_bytes, write_text
from ssd.visualize import HIT, MISS, MISTAKE, OTHER, TRUTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE = Path(__file__).with_name("page.html")
COLOURS = {"truth": TRUTH, "hit": HIT, "mistake": MISTAKE, "miss": MISS, "other": OTHER}
PIXELS_PER_INCH = 86  # makes the 10-point text of a diagram as large as the page's small text
EXPLAINED = {
    "classification": "the box is right (IoU of at least {t}), the class is another object's",
    "localisation": "the class is right, the box is off (IoU from 0.1 to {t})",
    "both": "the box is off and the class is another object's",
    "duplicate": "the object was already found, with a higher score",
    "background": "there is no object that counts (no IoU above 0.1)",
    "missed": "no detection of any score comes near the object",
}


def write_report(
    folder: str | Path,
    matches: Matches,
    summary: dict,
    image_paths: Sequence[str],
    details: Iterable[tuple[str, str]] = (),
) -> Path:
    """Write report.html and its pictures into a folder, which is made, and return the page's path.

    The page holds copies of the pictures.
    summary: of `summarize(matches)`. image_paths: the pictures, in the order of the lists that were matched.
    details: (name, text) pairs for the overview, such as the checkpoint.
    Raises InputError if matplotlib is missing, or if a picture of the gallery is missing or damaged.
    """
    folder = Path(folder)
    breakdown, confusion = error_breakdown(matches), confusion_matrix(matches)
    figures = {
        "precision_recall": plots.precision_recall_figure(matches),
        "confusion": plots.confusion_figure(confusion, matches.names),
        "errors": plots.errors_figure(breakdown),
        "scores": plots.scores_figure(matches),
        "thresholds": plots.thresholds_figure(matches),
    }
    cases = {
        "confident": confident_false_positives(matches, classify_errors(matches)),
        "missed": missed_objects(matches),
        "best": best_detections(matches),
    }
    galleries = {name: [_drawn(case, matches, image_paths) for case in some] for name, some in cases.items()}
    folder.mkdir(parents=True, exist_ok=True)
    page = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        {name: _figure(folder / f"{name}.png", figure) for name, figure in figures.items()},
        **{name: _gallery(folder, name, pictures) for name, pictures in galleries.items()},
        **{f"colour_{name}": colour for name, colour in COLOURS.items()},
        overview=_overview(summary, details),
        classes=_class_table(summary),
        error_table=_error_table(breakdown, matches.iou_threshold),
        n_not_found=confusion[:, -1].sum(),
        n_missed=breakdown["missed"]["count"],
        min_score=f"{SHOWN_SCORE:g}",
        iou=f"{matches.iou_threshold:g}",
    )
    path = folder / "report.html"
    write_text(path, page)
    return path


def _overview(summary: dict, details: Iterable[tuple[str, str]]) -> str:
    cells = [*summary_lines(summary), *details]
    return "\n".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in cells)


def _class_table(summary: dict) -> str:
    rows = [[figures[key] for key in COLUMNS] for figures in summary["classes"]]
    return _table(COLUMNS.values(), rows, "sortable")


def _error_table(breakdown: Mapping[str, Mapping[str, float]], threshold: float) -> str:
    rows: list[list[str | float | None]] = [
        [kind, values["count"], values["ap_lost"], EXPLAINED[kind].format(t=f"{threshold:g}")]
        for kind, values in breakdown.items()
    ]
    return _table(("error", "count", "AP lost", "meaning"), rows)


def _table(headings: Iterable[str], rows: Iterable[Sequence[str | float | None]], kind: str = "") -> str:
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<table class="{kind}"><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>'


def _cell(value: str | float | None) -> str:
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    text = cell_text(value)
    return f'<td class="number{" quiet" if text == "n/a" else ""}">{text}</td>'


def _figure(path: Path, figure: "Figure") -> str:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=2 * PIXELS_PER_INCH)
    write_bytes(path, file.getvalue())
    width = round(figure.get_figwidth() * PIXELS_PER_INCH)
    return _image(file.getvalue(), "png", f"diagram: {path.stem.replace('_', ' ')}", width)


def _drawn(case: Case, matches: Matches, image_paths: Sequence[str]) -> tuple[bytes, str]:
    """A drawn picture as JPEG, and its caption."""
    file = io.BytesIO()
    draw_case(case, matches, image_paths[case.image]).save(file, format="jpeg", quality=85, subsampling=0)
    return file.getvalue(), f"{case.caption} ({Path(image_paths[case.image]).name})"


def _gallery(folder: Path, name: str, pictures: Iterable[tuple[bytes, str]]) -> str:
    for old in folder.glob(f"{name}_[0-9][0-9].jpg"):  # of an earlier report
        old.unlink()
    items = []
    for k, (picture, caption) in enumerate(pictures, start=1):
        write_bytes(folder / f"{name}_{k:02d}.jpg", picture)
        items.append(f"<figure>{_image(picture, 'jpeg', caption)}<figcaption>{escape(caption)}</figcaption></figure>")
    return "\n".join(items) or "<p>None.</p>"


def _image(content: bytes, kind: str, text: str, width: int | None = None) -> str:
    size = f' width="{width}"' if width else ""
    return f'<img{size} alt="{escape(text)}" src="data:image/{kind};base64,{base64.b64encode(content).decode()}">'
