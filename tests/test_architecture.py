"""What the source must not contain, whatever it does."""

import ast
from collections.abc import Iterator
from pathlib import Path

import limen

SOURCE = Path(limen.__file__).parent


def uses_of_base_http_middleware(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.alias(name=name) if name.endswith("BaseHTTPMiddleware"):
                yield f"import {name}"
            case ast.Attribute(attr="BaseHTTPMiddleware"):
                yield "BaseHTTPMiddleware"
            case ast.Call(func=ast.Attribute(attr="middleware")):
                yield '@app.middleware("http")'  # the same class in a decorator's clothes
            case _:
                pass


def test_no_middleware_is_built_on_base_http_middleware() -> None:
    """It halves the throughput, breaks context variables, and passes WebSockets by unguarded."""
    modules = sorted(SOURCE.rglob("*.py"))
    found = {
        str(module.relative_to(SOURCE)): uses
        for module in modules
        if (uses := list(uses_of_base_http_middleware(ast.parse(module.read_text("utf-8")))))
    }

    assert modules
    assert found == {}
