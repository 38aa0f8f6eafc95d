"""Made-up tool catalogues, declared as a user would: typed functions with one-line docstrings."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from flowbuilder.tools import Tool, ToolRegistry, tool


class Weather(TypedDict):
    temperature: float
    conditions: str


class Contact(TypedDict):
    name: str
    email: str
    phone: str


class Converted(TypedDict):
    amount: float
    currency: str


@tool(effects="read")
def get_weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> Weather:
    """Get the current weather for a city."""
    return {"temperature": 20.0, "conditions": f"{city} {unit}"}


@tool(effects="external")
def send_email(to: str, subject: str = "", body: str = "") -> str:
    """Send an email to somebody."""
    return f"{to} {subject} {body}"


@tool(effects="write")
def create_event(title: str, date: str, time: str = "", attendees: list[str] | None = None) -> str:
    """Create a calendar event, such as a meeting or an appointment."""
    return f"{title} {date} {time} {attendees}"


@tool(effects="read")
def find_contact(name: str) -> Contact:
    """Look up a person in the address book."""
    return {"name": name, "email": "x@example.org", "phone": "1"}


@tool
def translate_text(text: str, target_language: str) -> str:
    """Translate text into another language."""
    return text + target_language


@tool(effects="read")
def convert_currency(amount: float, from_currency: str, to_currency: str) -> Converted:
    """Convert an amount of money from one currency to another."""
    return {"amount": amount, "currency": f"{from_currency}{to_currency}"}


@tool(effects="read")
def read_pdf(path: str) -> str:
    """Extract the text of a PDF document."""
    return path


@tool(effects="read", untrusted_output=True)
def web_search(query: str, max_results: int = 10) -> list[dict[str, Any]]:
    """Search the web and return the matching pages."""
    return [{"title": query, "n": max_results}]


@tool(effects="external")
def send_sms(phone_number: str, message: str) -> str:
    """Send a text message to a phone number."""
    return phone_number + message


@tool
def summarize_text(text: str, max_sentences: int = 3) -> str:
    """Write a short summary of a text."""
    return text[:max_sentences]


@tool(effects="read")
def query_database(sql: str) -> list[dict[str, Any]]:
    """Run an SQL query against the company database and return the rows."""
    return [{"sql": sql}]


@tool(effects="write")
def resize_image(path: str, width: int, height: int) -> str:
    """Resize a picture to a width and a height in pixels and return the new file's path."""
    return f"{path} {width} {height}"


@tool
def calculate(expression: str) -> float:
    """Evaluate an arithmetic expression."""
    return float(len(expression))


@tool(effects="external")
def create_ticket(
    title: str, description: str = "", priority: Literal["low", "normal", "high"] = "normal"
) -> str:
    """Open a support ticket in the issue tracker."""
    return f"{title} {description} {priority}"


@tool(effects="write")
def create_invoice(customer: str, amount: float, currency: str = "EUR") -> str:
    """Make an invoice for a customer and return its path."""
    return f"{customer} {amount} {currency}"


@tool(effects="read")
def get_directions(origin: str, destination: str, mode: str = "driving") -> str:
    """Find the route between two places on the map."""
    return f"{origin} {destination} {mode}"


@tool(effects="external")
def post_message(channel: str, text: str) -> str:
    """Post a message to a chat channel."""
    return channel + text


@tool(effects="read")
def read_file(path: str) -> str:
    """Read a text file and return its content."""
    return path


@tool(effects="write")
def write_file(path: str, content: str) -> str:
    """Write text to a file."""
    return path + content


@tool(effects="read", untrusted_output=True)
def http_get(url: str) -> str:
    """Download a web page and return its text."""
    return url


@tool
def extract_json_value(document: str, path: str) -> str:
    """Take one value out of a JSON document by its path, e.g. main.temp."""
    return document + path


@tool
def word_count(text: str) -> int:
    """Count the words of a text."""
    return len(text.split())


@tool
def detect_sentiment(text: str) -> str:
    """Tell whether a text sounds positive, negative or neutral."""
    return text


@tool(effects="write")
def set_reminder(text: str, when: str) -> str:
    """Remind the user of something at a given time."""
    return text + when


@tool(effects="read")
def get_stock_price(symbol: str) -> float:
    """Get the latest price of a stock by its ticker symbol."""
    return float(len(symbol))


@tool(effects="write")
def make_chart(records: list[dict[str, Any]], kind: Literal["bar", "line", "pie"] = "bar") -> str:
    """Draw a chart from records and return the image's path."""
    return f"{len(records)} {kind}"


@tool(effects="external")
def upload_file(path: str, folder: str = "") -> str:
    """Upload a file to the cloud drive and return a share link."""
    return path + folder


@tool(effects="write")
def compress_files(paths: list[str], archive: str) -> str:
    """Pack files into a zip archive."""
    return archive + str(len(paths))


@tool(effects="read", untrusted_output=True)
def get_news(topic: str, limit: int = 5) -> list[dict[str, Any]]:
    """Get the latest news headlines about a topic."""
    return [{"topic": topic, "limit": limit}]


@tool(effects="read")
def transcribe_audio(path: str) -> str:
    """Turn a sound recording into text."""
    return path


@tool(effects="irreversible")
def book_hotel(city: str, check_in: str, nights: int, guests: int = 1) -> str:
    """Book a hotel room in a city."""
    return f"{city} {check_in} {nights} {guests}"


@tool(effects="read")
def generate_qr_code(data: str) -> str:
    """Make a QR code image that encodes a link or text."""
    return data


@tool(effects="read", untrusted_output=True)
def fetch_page(url: str) -> str:
    """Fetches the readable text of a website."""
    return url


@tool(effects="read")
def weather(location: str, days: int = 1) -> str:
    """Gives the weather forecast of a location."""
    return f"{location} {days}"


@tool(effects="external")
def email(to: str, subject: str, body: str) -> bool:
    """Sends an email message."""
    return bool(to and subject and body)


@tool
def translate(text: str, to: str) -> str:
    """Translates a text."""
    return text + to


@tool
def summarize(text: str) -> str:
    """Summarizes a text in a few sentences."""
    return text


@tool(effects="read")
def exchange(amount: float, source: str, target: str) -> float:
    """Converts money between currencies at today's exchange rate."""
    return float(len(source + target)) * amount


@tool(effects="write")
def add_todo(task: str, due: str = "") -> str:
    """Adds a task to the to-do list."""
    return task + due


@tool
def calculator(expression: str) -> float:
    """Computes the value of a mathematical expression."""
    return float(len(expression))


@tool(effects="read")
def define_word(word: str) -> str:
    """Looks a word up in the dictionary and returns its meaning."""
    return word


@tool(effects="write")
def save_note(text: str, title: str = "") -> str:
    """Saves a note in the notebook."""
    return text + title


@tool(effects="read")
def list_orders(customer: str) -> list[dict[str, Any]]:
    """List the orders of a customer."""
    return [{"customer": customer}]


@tool(effects="irreversible")
def refund_order(order_id: str, amount: float | None = None) -> str:
    """Refund an order, in full or in part."""
    return f"{order_id} {amount}"


@tool(effects="read")
def track_package(tracking_number: str) -> str:
    """Track a parcel by its tracking number."""
    return tracking_number


@tool(effects="external")
def notify_team(channel: str, message: str) -> str:
    """Notify the team in a Slack channel."""
    return channel + message


@tool(effects="write")
def update_contact(name: str, phone: str = "", email: str = "") -> str:
    """Change the phone number or the email of a contact in the CRM."""
    return name + phone + email


@tool(effects="read")
def search_products(query: str, max_price: float | None = None) -> list[dict[str, Any]]:
    """Search the product catalogue."""
    return [{"query": query, "max": max_price}]


@tool(effects="external")
def schedule_call(person: str, date: str, time: str) -> str:
    """Schedule a phone call with a person."""
    return person + date + time


@tool(effects="read")
def extract_text(image_path: str) -> str:
    """Read the text in a scanned image (OCR)."""
    return image_path


@tool
def classify_text(text: str, labels: list[str]) -> str:
    """Sort a text into one of several categories."""
    return text + labels[0]


@tool(effects="write")
def export_pdf(content: str, filename: str) -> str:
    """Export content as a PDF file."""
    return content + filename


@tool(effects="read", untrusted_output=True)
def get_url(url: str) -> str:
    """Make an HTTP GET request and return the response body."""
    return url


@tool(effects="read")
def json_value(json_text: str, path: str) -> str:
    """Read the value at a path such as a.b.c from JSON text."""
    return json_text + path


@tool
def filter_lines(text: str, contains: str) -> str:
    """Keep only the lines of a text that contain a word."""
    return text + contains


@tool(effects="write")
def store_file(filename: str, text: str) -> str:
    """Save text under a file name."""
    return filename + text


@tool(effects="read")
def load_file(filename: str) -> str:
    """Load the text of a file."""
    return filename


@tool(effects="external")
def send_mail(recipient: str, subject: str, text: str) -> str:
    """Send a mail to a recipient."""
    return recipient + subject + text


@tool
def math_eval(formula: str) -> float:
    """Calculate the result of a formula."""
    return float(len(formula))


@tool
def translate_to(text: str, language: str) -> str:
    """Translate text to a language."""
    return text + language


@tool
def make_summary(text: str, sentences: int = 3) -> str:
    """Summarize a text in some sentences."""
    return text[:sentences]


@tool(effects="write")
def calendar_add(title: str, start: str, duration_minutes: int = 60) -> str:
    """Add an event to the calendar."""
    return f"{title} {start} {duration_minutes}"


CATALOGUES: dict[str, tuple[Tool, ...]] = {
    "office": (
        get_weather, send_email, create_event, find_contact, translate_text,
        convert_currency, read_pdf, web_search, send_sms, summarize_text,
    ),
    "shop": (
        query_database, resize_image, calculate, create_ticket, create_invoice,
        get_directions, post_message, send_email, read_file, write_file,
    ),
    "texts": (
        http_get, extract_json_value, read_file, write_file, word_count,
        detect_sentiment, translate_text, summarize_text, send_email, calculate,
    ),
    "daily": (
        fetch_page, weather, email, translate, summarize,
        exchange, add_todo, calculator, define_word, save_note,
    ),
    "crm": (
        list_orders, refund_order, track_package, notify_team, update_contact,
        search_products, schedule_call, extract_text, classify_text, export_pdf,
    ),
    "typical": (
        get_url, json_value, filter_lines, store_file, load_file,
        send_mail, math_eval, translate_to, make_summary, calendar_add,
    ),
    "home": (
        set_reminder, get_stock_price, make_chart, upload_file, compress_files,
        get_news, transcribe_audio, book_hotel, generate_qr_code, post_message,
    ),
}  # fmt: skip


def catalogue(name: str) -> ToolRegistry:
    """Return a registry with the tools of one catalogue."""
    registry = ToolRegistry()
    for item in CATALOGUES[name]:
        registry.add(item)
    return registry
