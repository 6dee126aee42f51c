"""The rooms of the package build on one another in one direction, and so do the modules inside a room."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import ssd

ORDER = (
    "errors", "text", "files", "interrupt", "threads", "config", "model", "inference", "distributed", "visualize",
    "checkpoint", "data", "convert", "export", "pretrained", "detector", "evaluation", "media", "app", "training",
    "explain", "commands",
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


def used_rooms(room):
    """The other rooms that the modules of a room import from."""
    files = [path for module, path in MODULES.items() if module.split(".")[0] == room]
    return {module.split(".")[0] for path in files for module in imported(path)} - {room}


def test_each_room_imports_only_those_before_it():
    assert {module.split(".")[0] for module in MODULES} == set(ORDER)
    for k, room in enumerate(ORDER):
        assert used_rooms(room) <= set(ORDER[:k]), room


def test_the_diagram_in_the_design_is_true():
    text = (PACKAGE.parent / "docs" / "design.md").read_text(encoding="utf-8")
    arrows = {room: set(others.split(" & ")) for room, others in re.findall(r"^    (\w+) --> (.+)$", text, flags=re.M)}
    below = {}  # room -> the rooms to which arrows lead, over others too
    for room in ORDER:
        direct = arrows.get(room, set())
        below[room] = direct.union(*(below[other] for other in direct))
        assert direct <= used_rooms(room) <= below[room] | {"errors", "files", "interrupt", "text", "threads"}, room


def test_no_modules_import_each_other_in_a_circle():
    TopologicalSorter({module: set(imported(path)) for module, path in MODULES.items()}).prepare()
