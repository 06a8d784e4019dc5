"""`/docs`: the API for people, one HTML page made from openapi.json, without scripts.

Swagger UI and Redoc are megabytes of JavaScript, from a CDN by default.
"""

import json
import re
from html import escape
from typing import Any

Json = dict[str, Any]

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Wardrobe API</title>
<link rel="icon" href="icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="studio.css">
</head>
<body>
<header>
<div class="head"><h1>Wardrobe API</h1>
<nav class="pages" aria-label="Pages"><a href="./">Studio</a><a href="learn">Learn</a></nav></div>
"""
BODIES = {  # media type → curl's options
    "multipart/form-data": "-F image=@photo.jpg",
    "application/vnd.wardrobe.pixels": (
        "-H 'content-type: application/vnd.wardrobe.pixels' --data-binary @784-bytes"
    ),
    "application/octet-stream": "--data-binary @photo.jpg",
}


def render(openapi: Json, url: str, has_token: bool) -> str:
    """Returns the page of an OpenAPI description.

    Args:
        url: of the server, without a slash at its end, for the examples.
        has_token: whether the examples send a token, from the variable WARDROBE_TOKEN.
    """
    operations = [
        (f"{method.upper()} {path}", operation)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]
    links = (
        f'<li><a href="#{_name(title)}"><code>{escape(title)}</code></a> '
        f"{_format(operation['summary'])}</li>\n"
        for title, operation in operations
    )
    curl = 'curl -H "authorization: Bearer $WARDROBE_TOKEN"' if has_token else "curl"
    sections = (_render_operation(openapi, *each, curl, url) for each in operations)
    about = openapi["info"]
    return (
        f"{HEAD}<p>{_format(about['description'])} For programs: "
        f'<a href="openapi.json">openapi.json</a>, version {about["version"]}.</p></header>\n'
        f'<main class="api">\n<section class="card"><h2>All paths</h2>\n<ul>{"".join(links)}</ul>'
        f"</section>\n{''.join(sections)}</main></body></html>"
    )


def _render_operation(openapi: Json, title: str, operation: Json, curl: str, url: str) -> str:
    """Returns the section of a method of a path."""
    parameters = [_follow(openapi, each) for each in operation.get("parameters", [])]
    content = _follow(openapi, operation.get("requestBody", {})).get("content", {})
    parts = [f'<section class="card" id="{_name(title)}"><h2>{escape(title)}</h2>']
    parts += [
        f"<p>{_format(operation['summary'])}. {_format(operation.get('description', ''))}</p>"
    ]
    if parameters:
        parts += [f"<dl>{''.join(map(_render_parameter, parameters))}</dl>"]
    command = f"{curl} {_write_options(title, content)}'{url}{_fill_path(title, parameters)}'"
    parts += [f'<pre tabindex="0">{escape(command)}</pre>']
    for status, answer in operation["responses"].items():
        for media_type, body in answer.get("content", {}).items():
            parts += [f"<p>Answer {status}, {escape(media_type)}</p>"]
            if "example" in body:
                text = json.dumps(body["example"], ensure_ascii=False)
                parts += [f'<pre tabindex="0">{escape(text)}</pre>']
    errors = ", ".join(each for each in operation["responses"] if each >= "300")
    return "\n".join([*parts, f'<p class="soft">Errors: {errors}</p></section>\n'])


def _render_parameter(parameter: Json) -> str:
    schema, required = parameter["schema"], ", required" if parameter.get("required") else ""
    default = f", by default {json.dumps(schema['default'])}" if "default" in schema else ""
    kind = f"{parameter['in']}, {schema['type']}{default}{required}"
    meaning = _format(parameter.get("description", ""))
    return f"<dt><code>{escape(parameter['name'])}</code> ({kind})</dt><dd>{meaning}</dd>"


def _fill_path(title: str, parameters: list[Json]) -> str:
    """Returns the path with an example of each parameter that is required."""
    path, query = title.partition(" ")[2], ""
    for each in parameters:
        value = f"{each.get('example', each['name'].upper())}"
        path = path.replace(f"{{{each['name']}}}", value)
        if each["in"] == "query" and each.get("required"):
            query += f"{'&' if query else '?'}{each['name']}={value}"
    return path + query


def _write_options(title: str, content: Json) -> str:
    """Returns curl's options for a method and its body."""
    if "application/json" in content:
        return f"--json '{json.dumps(content['application/json'].get('example', {}))}' "
    body = next((BODIES[each] for each in BODIES if each in content), "")
    return f"{body} " if body else "-X POST " if title.startswith("POST") else ""


def _follow(openapi: Json, value: Json) -> Json:
    """Returns a component for a reference to it."""
    if "$ref" not in value:
        return value
    kind, name = value["$ref"].split("/")[2:]
    found: Json = openapi["components"][kind][name]
    return found


def _format(text: str) -> str:
    """Returns a text as HTML; what is between backticks is code."""
    return re.sub("`([^`]*)`", r"<code>\1</code>", escape(text))


def _name(title: str) -> str:
    """Returns the name of a section in addresses."""
    return re.sub("[^a-z0-9]+", "-", title.lower()).rstrip("-")
