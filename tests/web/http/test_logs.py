"""The log of a server: short lines, nothing that steers a terminal, nothing of a photo, and not more and more of it."""

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

from inception.web.http.logs import BURST, MAX_LINE, MAX_WRITE, PER_SECOND, CleanStream, cleaned
from support.paths import ROOT

PHOTO = "data:image/jpeg;base64," + b64encode(b"PIECE OF A PHOTO" * 1000).decode()
PIECE = b64encode(b"PIECE OF A PHOTO" * 3).decode()[:40]


@given(st.text(st.characters(exclude_characters="\n\t")).map(lambda text: text[:MAX_LINE]))
def test_a_line_stays_as_it_is_but_for_control_characters(text: str) -> None:
    told = cleaned(text)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in told)
    if text.isprintable() and "data:" not in text.lower() and len(text) < 200:
        assert told == text


@pytest.mark.parametrize("length", [MAX_LINE, MAX_LINE + 1, 100_000, 10_000_000])
def test_long_lines_and_long_records_are_cut(length: int) -> None:
    text = "ab " * (length // 3)
    assert len(cleaned(text)) <= MAX_LINE + 3
    assert all(len(line) <= MAX_LINE + 3 for line in cleaned(f"{text}\nnext\n").splitlines())
    assert len(cleaned("short\n" * length)) <= MAX_WRITE + 2


@pytest.mark.parametrize(
    "text",
    [
        PHOTO,
        f"Value: {PHOTO!r} is not in the list of choices",
        f"input_value='{PHOTO[:50]}...{PHOTO[-50:]}', input_type=str",
        f"('{PHOTO}', 3)",
        PHOTO.upper(),
        PHOTO[30:],  # cut at its beginning
    ],
)
def test_nothing_of_a_photo_stays(text: str) -> None:
    assert PIECE[4:24].lower() not in cleaned(text).lower()
    assert len(cleaned(text)) < 100


def test_other_text_beside_a_photo_stays() -> None:
    assert cleaned(f"Value: {PHOTO!r} is not in the list of choices: ['3a', '3b']") == (
        "Value: 'data:…' is not in the list of choices: ['3a', '3b']"
    )


def test_a_traceback_keeps_its_lines() -> None:
    try:
        raise ValueError(f"no such block: {'9' * 1_000_000}")
    except ValueError:
        told = cleaned(traceback.format_exc())
    assert told.startswith("Traceback (most recent call last):\n")
    assert "in test_a_traceback_keeps_its_lines" in told
    assert len(told) < 2000


def test_a_log_holds_no_more_than_its_allowance_and_says_what_was_left_out() -> None:
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


def test_prints_tracebacks_warnings_and_records_all_pass() -> None:
    code = (
        "import logging, sys, traceback, warnings\n"
        "from inception.page.logs import clean_output\n"
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


def test_a_handler_that_was_made_before_goes_on_when_the_output_is_as_before() -> None:
    file = io.StringIO()
    logger, handler = logging.Logger("alone"), logging.StreamHandler(CleanStream(file))
    logger.addHandler(handler)
    logger.error("\x1b[2Jcleared\r\n")
    assert file.getvalue() == "\\x1b[2Jcleared\\r\n\n"
