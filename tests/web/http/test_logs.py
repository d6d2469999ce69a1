"""The server's log: short lines without control characters or photo data, at a bounded rate."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import traceback
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception.web.http.logs import BURST, MAX_LINE, MAX_WRITE, PER_SECOND, CleanStream, clean
from support.paths import ROOT

PHOTO = "data:image/jpeg;base64," + b64encode(b"PIECE OF A PHOTO" * 1000).decode()
PIECE = b64encode(b"PIECE OF A PHOTO" * 3).decode()[:40]


@given(st.text(st.characters(exclude_characters="\n\t")).map(lambda text: text[:MAX_LINE]))
def test_a_line_is_unchanged_except_for_control_characters(text: str) -> None:
    cleaned = clean(text)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in cleaned)
    if text.isprintable() and "data:" not in text.lower() and len(text) < 200:
        assert cleaned == text


@pytest.mark.parametrize("length", [MAX_LINE, MAX_LINE + 1, 100_000, 10_000_000])
def test_long_lines_and_long_records_are_cut(length: int) -> None:
    text = "ab " * (length // 3)
    assert len(clean(text)) <= MAX_LINE + 3
    assert all(len(line) <= MAX_LINE + 3 for line in clean(f"{text}\nnext\n").splitlines())
    assert len(clean("short\n" * length)) <= MAX_WRITE + 2


@pytest.mark.parametrize(
    "text",
    [
        PHOTO,
        f"Value: {PHOTO!r} is not in the list of choices",
        f"input_value='{PHOTO[:50]}...{PHOTO[-50:]}', input_type=str",
        f"('{PHOTO}', 3)",
        PHOTO.upper(),
        PHOTO[30:],  # without its prefix
    ],
)
def test_photo_data_is_removed(text: str) -> None:
    assert PIECE[4:24].lower() not in clean(text).lower()
    assert len(clean(text)) < 100


def test_text_around_photo_data_is_kept() -> None:
    assert clean(f"Value: {PHOTO!r} is not in the list of choices: ['3a', '3b']") == (
        "Value: 'data:…' is not in the list of choices: ['3a', '3b']"
    )


def test_a_traceback_keeps_its_lines() -> None:
    try:
        raise ValueError(f"no such block: {'9' * 1_000_000}")
    except ValueError:
        cleaned = clean(traceback.format_exc())
    assert cleaned.startswith("Traceback (most recent call last):\n")
    assert "in test_a_traceback_keeps_its_lines" in cleaned
    assert len(cleaned) < 2000


def test_the_log_stays_within_its_rate_limit_and_reports_how_much_was_dropped() -> None:
    now = [0.0]
    file = io.StringIO()
    stream = CleanStream(file, lambda: now[0])
    for _ in range(10_000):
        stream.write("a refusal of a hundred characters".ljust(99) + "\n")
    assert len(file.getvalue()) <= BURST
    assert len(file.getvalue()) > BURST // 2
    written = len(file.getvalue())
    now[0] += 1000 / PER_SECOND
    stream.write("later\n")
    assert (
        file.getvalue()[written:]
        == f"({10_000 - written // 100} pieces of the log left out: too much was written.)\nlater\n"
    )


def test_prints_tracebacks_warnings_and_records_are_all_cleaned() -> None:
    code = (
        "import logging, sys, traceback, warnings\n"
        "from inception.web.http.logs import clean_output\n"
        f"value = {PHOTO[:3000]!r}\n"
        "with clean_output():\n"
        "    logging.basicConfig()\n"
        "    print(value)\n"
        "    warnings.warn(value)\n"
        "    logging.error('%s', value)\n"
        "    try: raise ValueError(value)\n"
        "    except ValueError:\n"
        "        traceback.print_exc()\n"
        "        logging.exception('unforeseen')\n"
        "    assert not sys.stderr.isatty()\n"
        "print('as before', sys.stdout is sys.__stdout__)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "data:…\nas before True\n"
    assert run.stderr.count("data:…") >= 4
    assert "unforeseen" in run.stderr
    assert PIECE not in run.stderr


def test_a_logging_handler_works_with_the_stream() -> None:
    file = io.StringIO()
    logger, handler = logging.Logger("alone"), logging.StreamHandler(CleanStream(file))
    logger.addHandler(handler)
    logger.error("\x1b[2Jcleared\r\n")
    assert file.getvalue() == "\\x1b[2Jcleared\\r\n\n"
