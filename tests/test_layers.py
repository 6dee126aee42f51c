"""The rooms of the package build on one another in one direction, and so do the modules inside a room."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import ssd

ORDER = (
    "errors", "text", "files", "config", "model", "inference", "visualize", "checkpoint", "data", "convert", "export",
    "pretrained", "detector", "evaluation", "media", "training", "commands",
)  # fmt: skip
PACKAGE = Path(ssd.__file__).parent
# Doors are left out: `__main__` modules call commands, and `ssd/__init__.py` collects what users import.
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
    if path.stem != "__main__" and path.parent / path.stem != PACKAGE / "__init__"
}


def imported(path):
    """The modules of the package that a file imports, without the leading `ssd.`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "ssd":
            for name in node.names:
                full = f"{node.module}.{name.name}".removeprefix("ssd.")
                yield full if full in MODULES else node.module.removeprefix("ssd.")


def test_each_room_imports_only_those_before_it():
    for module, path in MODULES.items():
        room = module.split(".")[0]
        used = {other.split(".")[0] for other in imported(path)} - {room}
        assert all(ORDER.index(other) < ORDER.index(room) for other in used), f"{module} imports {sorted(used)}"


def test_no_modules_import_each_other_in_a_circle():
    TopologicalSorter({module: set(imported(path)) for module, path in MODULES.items()}).prepare()
