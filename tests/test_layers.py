"""The parts of the package build on one another in one direction."""

import ast
from pathlib import Path

import ssd

ORDER = (
    "errors", "text", "files", "config", "model", "inference", "visualize", "checkpoint", "data", "convert", "export",
    "pretrained", "detector", "evaluation", "media", "training", "commands",
)  # fmt: skip


def test_each_part_imports_only_those_before_it():
    package = Path(ssd.__file__).parent
    for path in package.rglob("*.py"):
        part = path.relative_to(package).with_suffix("").parts[0]
        if part in ("__init__", "__main__"):
            continue
        imported = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
        used = {module.split(".")[1] for module in imported if module.startswith("ssd.")} - {part}
        assert all(ORDER.index(other) < ORDER.index(part) for other in used), f"{path} imports {sorted(used)}"
