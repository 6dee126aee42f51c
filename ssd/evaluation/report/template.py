"""The report's HTML page, with its style and the few lines of script that sort the table."""

from string import Template

from ssd.visualize import HIT, MISS, MISTAKE, OTHER, TRUTH

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 1120px;
  margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 1rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .3rem; padding-top: .8rem; border-top: 1px solid #ddd; }
p { margin: .3rem 0 .8rem; color: #555; max-width: 48rem; }
nav a { margin-right: 1rem; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(170px, 1fr)); gap: .6rem; margin: 1rem 0; }
dl div { background: #f4f6f8; border-radius: 6px; padding: .5rem .8rem; overflow-wrap: anywhere; }
dt { color: #555; font-size: .85rem; }
dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
th, td { padding: .25rem .8rem; border-bottom: 1px solid #e4e4e4; text-align: left; }
th { background: #f4f6f8; white-space: nowrap; }
td.number, .sortable th:not(:first-child) { text-align: right; }
.quiet { color: #888; }
.sortable th { cursor: pointer; }
.sortable th:focus-visible { outline: 2px solid #2166ac; }
.sortable th::after { content: "\\2195"; color: #bbb; margin-left: .3rem; }
.sortable th[aria-sort=ascending]::after { content: "\\2191"; color: #000; }
.sortable th[aria-sort=descending]::after { content: "\\2193"; color: #000; }
tbody tr:hover { background: #f8fafc; }
img { max-width: 100%; height: auto; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(330px, 1fr)); gap: 1rem; }
figure { margin: 0; }
figure img { width: 100%; height: 280px; object-fit: contain; background: #f4f6f8; border-radius: 4px;
  cursor: zoom-in; }
figure.large { grid-column: 1 / -1; }
figure.large img { height: auto; max-height: 92vh; cursor: zoom-out; }
figcaption { font-size: .82rem; color: #333; overflow-wrap: anywhere; }
.legend span { display: inline-block; margin-right: 1.4rem; white-space: nowrap; }
.legend i { display: inline-block; width: 1.6rem; border-top: 3px solid; vertical-align: middle; margin-right: .4rem; }
"""

_SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.tabIndex = 0;
    const sort = () => {
      const up = head.getAttribute("aria-sort") === "descending" ||
        (column === 0 && head.getAttribute("aria-sort") !== "ascending");
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = row => column === 0 ? row.cells[0].textContent : parseFloat(row.cells[column].textContent);
      const compare = (a, b) => {
        if (column === 0) return key(a).localeCompare(key(b)) * (up ? 1 : -1);
        if (isNaN(key(a)) || isNaN(key(b))) return isNaN(key(a)) - isNaN(key(b));  // n/a stays last
        return (key(a) - key(b)) * (up ? 1 : -1);
      };
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", event => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); }
    });
  });
}
for (const figure of document.querySelectorAll("figure")) {
  figure.addEventListener("click", () => figure.classList.toggle("large"));
}
"""


def _line(colour, style, text):
    return f'<span><i style="border-color: rgb{colour}; border-top-style: {style}"></i>{text}</span>'


_LEGEND = "\n".join(
    [
        _line(TRUTH, "dashed", "ground truth"),
        _line(MISTAKE, "solid", "false positive"),
        _line(MISS, "dashed", "missed object"),
        _line(HIT, "solid", "true positive"),
        _line(OTHER, "solid", "other detections above $min_score"),
    ]
)

PAGE = Template(
    f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Evaluation</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Evaluation</h1>
<nav><a href="#classes">Classes</a><a href="#curves">Precision and recall</a><a href="#errors">Errors</a>
<a href="#confusion">Confusion</a><a href="#scores">Scores</a><a href="#gallery">Pictures</a></nav>
<dl>$overview</dl>

<h2 id="classes">Classes</h2>
<p>Objects are those that count; difficult ones neither reward nor punish. A click on a heading sorts.</p>
<div class="wide">$classes</div>

<h2 id="curves">Precision and recall</h2>
<p>At IoU $iou. The shaded area is AP voc10; voc07 is the mean of its heights at the recalls 0, 0.1, ..., 1. The dot
is the point of the best F1.</p>
$precision_recall

<h2 id="errors">Errors</h2>
<p>What the false positives and the missed objects are, and by how much mAP voc07 would rise if only that kind of
error were mended (TIDE's kinds). The losses do not add up to what is missing from 1.</p>
$errors
<div class="wide">$error_table</div>

<h2 id="confusion">Confusion matrix</h2>
<p>Detections of a score above $min_score. Last column: objects not found. Last row: detections of no object,
duplicates among them.</p>
$confusion

<h2 id="scores">Scores</h2>
<p>Detections by score, on a logarithmic scale. The further the two kinds lie apart, the easier it is to choose a
threshold.</p>
$scores

<h2 id="gallery">Pictures</h2>
<p>A click enlarges.</p>
<p class="legend">{_LEGEND}</p>
<h3>Confident false positives</h3>
<div class="gallery">$confident</div>
<h3>Missed objects</h3>
<p>Not difficult, and found by no detection above $min_score. Those that none found at all come first, the largest
before the others.</p>
<div class="gallery">$missed</div>
<h3>Best detections</h3>
<div class="gallery">$best</div>
<script>{_SCRIPT}</script>
</body>
</html>
"""
)
