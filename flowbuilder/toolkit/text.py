"""`text.template` and `text.stats`."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from flowbuilder.toolkit.template import fill
from flowbuilder.tools import Context, tool

_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’)\]]*(?=\s|$)")
_BLANK_LINE = re.compile(r"\n\s*\n")


class FilledText(TypedDict):
    """A filled template."""

    text: Annotated[str, Field(description="The text.")]


class WordCount(TypedDict):
    """How often a word occurs."""

    word: Annotated[str, Field(description="The word in lower case.")]
    count: Annotated[int, Field(description="How often it occurs.")]


class TextStats(TypedDict):
    """Counts over a text."""

    characters: Annotated[int, Field(description="Characters, spaces included.")]
    words: Annotated[int, Field(description="Words.")]
    lines: Annotated[int, Field(description="Lines.")]
    sentences: Annotated[int, Field(description="Sentences.")]
    paragraphs: Annotated[int, Field(description="Blocks between empty lines.")]
    top_words: Annotated[
        list[WordCount], Field(description="The most frequent words, most frequent first.")
    ]


@tool(
    "text.template",
    keywords=(
        "fill in, compose, format, write a report, make a text, build a message, markdown, "
        "render, report from, write a summary table, letter, put into words, text with",
    ),
    examples=(
        "write a short report with the totals",
        "make a markdown table of the rows",
        "compose the message 'Dear {name}'",
    ),
)
def text_template(
    context: Context,
    template: Annotated[
        str,
        Field(
            description="Text with {name} placeholders; {rows|table} and {items|bullets} format "
            "lists, {#rows}...{/rows} repeats for every element."
        ),
    ],
    values: Annotated[
        dict[str, Any] | None, Field(description="The values by placeholder name.")
    ] = None,
) -> FilledText:
    """Fill a text template with values: reports, messages, Markdown tables and lists."""
    return {"text": fill(template, values or {}, limit=context.settings.max_value_bytes)}


@tool(
    "text.stats",
    keywords=(
        "count words, word count, how long, number of lines, number of characters, sentences, "
        "most frequent words, most common words, length of the text, text statistics",
    ),
    examples=(
        "count the words in notes.txt",
        "how many lines does the file have",
        "what are the most common words",
    ),
)
def text_stats(
    text: Annotated[str, Field(description="The text.")],
    top: Annotated[int, Field(ge=0, le=1000, description="How many frequent words.")] = 10,
) -> TextStats:
    """Count a text's characters, words, lines, sentences and most frequent words."""
    words = [word.lower() for word in _WORD.findall(text)]
    ranked = sorted(Counter(words).items(), key=lambda pair: (-pair[1], pair[0]))
    paragraphs = [block for block in _BLANK_LINE.split(text) if block.strip()]
    return {
        "characters": len(text),
        "words": len(words),
        "lines": len(text.splitlines()),
        "sentences": sum(_sentences(block) for block in paragraphs),
        "paragraphs": len(paragraphs),
        "top_words": [{"word": word, "count": count} for word, count in ranked[:top]],
    }


def _sentences(block: str) -> int:
    """Count the ends of sentences; a last one without a sign counts too."""
    ends = list(_SENTENCE_END.finditer(block))
    rest = block[ends[-1].end() :] if ends else block
    return len(ends) + bool(_WORD.search(rest))
