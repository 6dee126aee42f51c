"""Every public function and method says what it takes and returns."""

import ast
from pathlib import Path

import pytest

import ssd

PACKAGE = Path(ssd.__file__).parent


def is_public(node):
    return not node.name.startswith("_") or node.name.startswith("__")


def public_functions(parent):
    """The public functions of a module or of a class, and the methods of its public classes."""
    for node in parent.body:
        if isinstance(node, ast.ClassDef) and is_public(node):
            yield from public_functions(node)
        elif isinstance(node, ast.FunctionDef) and is_public(node):
            yield node


def unannotated(function):
    """What a function does not annotate: names of its arguments, "return"."""
    given = function.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    names = [a.arg for a in arguments if a and not a.annotation and a.arg not in ("self", "cls")]
    return names + ["return"] * (function.returns is None and function.name != "__init__")


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_public_functions_are_annotated(path):
    functions = public_functions(ast.parse(path.read_text(encoding="utf-8")))
    assert {f.name: missing for f in functions if (missing := unannotated(f))} == {}
