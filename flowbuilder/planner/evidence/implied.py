"""What everybody means with a name: who says San Francisco has said California.

Short on purpose: the best known names alone, where a goal's writer would wonder to be asked.
"""

from __future__ import annotations

_STATES = {
    "az arizona": ("phoenix", "tucson"),
    "ca california": (
        "los angeles", "san francisco", "san diego", "san jose", "sacramento", "oakland",
        "hollywood", "silicon valley",
    ),
    "co colorado": ("denver",),
    "dc washington": ("washington dc",),
    "fl florida": ("miami", "orlando", "tampa", "jacksonville"),
    "ga georgia": ("atlanta",),
    "hi hawaii": ("honolulu",),
    "il illinois": ("chicago",),
    "la louisiana": ("new orleans",),
    "ma massachusetts": ("boston", "cambridge ma"),
    "mi michigan": ("detroit",),
    "mn minnesota": ("minneapolis",),
    "nv nevada": ("las vegas",),
    "ny new york": ("new york", "brooklyn", "manhattan", "nyc"),
    "oh ohio": ("cleveland", "cincinnati"),
    "or oregon": ("portland",),
    "pa pennsylvania": ("philadelphia", "pittsburgh"),
    "tn tennessee": ("nashville", "memphis"),
    "tx texas": ("houston", "dallas", "austin", "san antonio"),
    "ut utah": ("salt lake city",),
    "wa washington": ("seattle",),
}  # fmt: skip
_TICKERS = {
    "aapl": "apple", "adbe": "adobe", "amd": "advanced micro devices", "amzn": "amazon",
    "csco": "cisco", "dis": "disney", "fb meta": "facebook", "goog googl": "google",
    "ibm": "international business machines", "intc": "intel", "jpm": "jpmorgan",
    "ko": "coca cola", "meta fb": "meta", "msft": "microsoft", "nflx": "netflix",
    "nvda": "nvidia", "orcl": "oracle", "tsla": "tesla", "wmt": "walmart",
}  # fmt: skip
_UNITS = {
    "cm": "centimeter centimeters centimetre centimetres",
    "mm": "millimeter millimeters millimetre millimetres",
    "m": "meter meters metre metres",
    "km": "kilometer kilometers kilometre kilometres",
    "in": "inch inches",
    "ft": "foot feet",
    "yd": "yard yards",
    "mi": "mile miles",
    "g": "gram grams",
    "kg": "kilogram kilograms kilo kilos",
    "lb lbs": "pound pounds",
    "oz": "ounce ounces",
    "l": "liter liters litre litres",
    "ml": "milliliter milliliters millilitre millilitres",
    "s sec": "second seconds",
    "min": "minute minutes",
    "h hr": "hour hours",
    "kmh kph": "kilometers kilometres",
    "mph": "miles",
    "hz": "hertz",
}
#: Short forms that are words, or what an apostrophe leaves of some, besides.
_WORDS = frozenset({"g", "h", "in", "l", "m", "mi", "min", "oz", "s"})


def implied_words(said: str) -> set[str]:
    """Return the words that a text implies; `said` is in lower case, words by single blanks."""
    padded = f" {said} "
    found: set[str] = set()
    for state, cities in _STATES.items():
        if any(f" {city} " in padded for city in cities):
            found.update(state.split(), ("us", "usa", "united", "states"))
    for ticker, company in _TICKERS.items():
        if f" {company} " in padded:
            found.update(ticker.split())
    words = set(said.split())
    for short, long in _UNITS.items():
        if words & set(long.split()):
            found.update(short.split())
        if words & set(short.split()) - _WORDS:
            found.update(long.split())
    return found
