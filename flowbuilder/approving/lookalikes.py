"""Names of hosts that look like others.

Letters of other alphabets, digits for letters, borrowed beginnings: what is found is told to who
decides, and nothing is refused for it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator

#: What is imitated most; the other hosts in the same arguments count besides.
KNOWN = frozenset(
    {
        *("amazon.com", "apple.com", "dropbox.com", "facebook.com", "github.com", "gmail.com"),
        *("google.com", "icloud.com", "linkedin.com", "live.com", "microsoft.com", "netflix.com"),
        *("office.com", "outlook.com", "paypal.com", "slack.com", "stripe.com", "twitter.com"),
        *("example.com", "example.org", "wikipedia.org", "yahoo.com"),
    }
)
#: Letters of other alphabets, and the Latin ones that they look like.
_OTHER_LETTERS = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458"
    "\u0455\u04bb\u0501\u051b\u051d\u043a\u043c\u043d\u0442"
    "\u0432\u043f\u0433\u03bf\u03b1\u03bd\u03c1\u03c4\u03b9"
    "\u03ba\u03c5\u03b5\u03c7\u03b7\u03c9\u0131\u0142\u0261"
    "\u0251\xf8\u0111\u0127\u04cf",
    "aeopcyxijshdqwkmhtbnroavptikuexnwilgaodhl",
)
_DIGITS = str.maketrans("0135$", "oless")
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"))
#: Signs that a reader takes for those that divide an address.
ODD_SIGNS = frozenset(
    "\u2215\u2044\uff0f\u3002\uff0e\uff61\ufe52\uff1a"
    "\ufe55\uff1f\ufe56\uff03\ufe5f\uff20\ufe6b\uff3c"
)
_LABELS = r"[^\s/?#@:\"'<>()\[\]{},;|\\]+"
_HOST = re.compile(rf"(?:[a-z][a-z0-9+.-]*://(?:[^\s/?#@]*@)?|@)({_LABELS})", re.IGNORECASE)
_DOT = re.compile("[^.][.\u3002\uff0e\uff61][^.]")
_BARE = re.compile(rf"(?<!\S){_LABELS}")


def hosts_in(text: str) -> list[str]:
    """Return the names of hosts in a text, each once, as they are written, in small letters."""
    found = [match[1] for match in _HOST.finditer(text)]
    found += [
        match[0]
        for match in _BARE.finditer(text)
        if _DOT.search(match[0]) and (not match[0].isascii() or "xn--" in match[0])
    ]
    return list(dict.fromkeys(name.lower().strip(".") for name in found if name.strip(".")))


def suspicions(host: str, others: Collection[str] = ()) -> Iterator[str]:
    """Yield what is odd about the name of a host.

    Args:
        host: The name, in small letters.
        others: Hosts that it could be taken for, besides those that everybody knows.
    """
    read = ".".join(_decoded(label) for label in host.split("."))
    if not read.isascii():
        yield f"{host} has letters of other alphabets{_written(read)}"
    if any(sign in ODD_SIGNS for sign in read):
        yield f"{host} has signs that only look like dots, slashes or @"
    plain = skeleton(read)
    for known in sorted({*KNOWN, *others} - {host, read}):
        if _ends_with(host, known) or not known.isascii() or "xn--" in known:
            continue
        if _ends_with(plain, skeleton(known)) and not _ends_with(read, known):
            yield f"{host} looks like {known}"
        elif known.count(".") and read.startswith(f"{known}."):
            yield f"{host} begins like {known}, but belongs to {_owner(read)}"


def skeleton(text: str) -> str:
    """Return what a name looks like at a glance."""
    flat = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).lower())
    bare = "".join(sign for sign in flat if not unicodedata.combining(sign))
    plain = bare.translate(_OTHER_LETTERS).translate(_DIGITS)
    for pair, single in _PAIRS:
        plain = plain.replace(pair, single)
    return plain


def mixes_alphabets(text: str) -> bool:
    """Whether a word of a text mixes Latin letters with those of alphabets that look like them."""
    if text.isascii():
        return False
    for word in re.findall(r"\w+", text):
        kinds = {_alphabet(sign) for sign in word if sign.isalpha()}
        if "LATIN" in kinds and kinds & {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}:
            return True
    return False


def _alphabet(sign: str) -> str:
    return "LATIN" if sign.isascii() else unicodedata.name(sign, "").partition(" ")[0]


def _decoded(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, ValueError):
        return label


def _written(host: str) -> str:
    try:
        return f" (really {host.encode('idna').decode('ascii')})"
    except UnicodeError:
        return ""


def _ends_with(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def _owner(host: str) -> str:
    return ".".join(host.split(".")[-2:])
