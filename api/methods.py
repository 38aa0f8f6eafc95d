"""Which methods there are at an address."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.routing import compile_path


def allowed_methods(app: FastAPI, path: str) -> list[str]:
    """Return every method that some route supports at this path, HEAD with each GET.

    As OpenAPI has it, a path without parameters goes before one with them.
    """
    documented = {**app.openapi()["paths"], str(app.openapi_url): {"get": {}}}
    fitting = [path] if path in documented else documented
    methods = {
        name.upper()
        for template in fitting
        if compile_path(template)[0].match(path)
        for name in documented[template]
    }
    if "GET" in methods:
        methods.add("HEAD")
    return sorted(methods)
