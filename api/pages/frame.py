"""What every page has in common: its style, and headers that let it do nothing else."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from fastapi.responses import HTMLResponse

_STYLE = """
body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111;
background:#fff}
table{border-collapse:collapse;width:100%}
td,th{border:1px solid #bbb;padding:.3rem .5rem;text-align:left;vertical-align:top}
pre,.value{font:14px/1.4 monospace;white-space:pre-wrap;overflow-wrap:anywhere;margin:0;
direction:ltr;unicode-bidi:isolate}
.mark,.high{color:#a00;font-weight:bold}
.note{color:#555}
textarea{width:100%;font:14px/1.4 monospace}
button{font-size:1rem;padding:.5rem 1.5rem;margin-right:1rem}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def page(title: str, body: str, *, status: int = 200) -> HTMLResponse:
    """Return a page; `title` is text, `body` is HTML that was put together from escaped texts."""
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>"
    )
    return HTMLResponse(text, status_code=status, headers=HEADERS)


def notice(title: str, *sentences: str, status: int = 200) -> HTMLResponse:
    """Return a page that only says something."""
    return page(title, "".join(f"<p>{escape(text)}</p>" for text in sentences), status=status)
