"""Limits on a request's JSON body, checked before it is parsed and before the file system is consulted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from gradio.utils import get_upload_folder
from hypothesis import given
from hypothesis import strategies as st

from inception.web.http import body
from inception.web.http.body import check, count_structural, parse
from inception.web.http.errors import RequestRefusedError
from inception.web.http.upload_paths import MAX_PATH, is_uploaded

CHECKSUM = "0" * 64
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def count_values(document: Any) -> int:
    """Count the values and keys of a document."""
    if isinstance(document, dict):
        return 1 + sum(1 + count_values(value) for value in document.values())
    if isinstance(document, list):
        return 1 + sum(map(count_values, document))
    return 1


@given(VALUES, st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "utf-32-le"]), st.booleans())
def test_structural_characters_bound_the_number_of_values_in_every_encoding(
    document: Any, encoding: str, ascii_only: bool
) -> None:
    body = json.dumps(document, ensure_ascii=ascii_only).encode(encoding, "surrogatepass")
    assert count_values(document) <= 1 + count_structural(body)


@pytest.mark.parametrize("sent", [b"", b"{", b"[" * 4000, b"\xff\xfe", b"NaN", b"[Infinity]", b"1" * 5000, b'"\n"'])
def test_invalid_json_is_refused(sent: bytes) -> None:
    with pytest.raises(RequestRefusedError) as refusal:
        parse(sent)
    assert (refusal.value.status, refusal.value.key) == (400, "guard_malformed")


def nested(levels: int) -> Any:
    document: Any = 1
    for _ in range(levels):
        document = [document]
    return document


LONG = "x" * (body.MAX_TEXT + 1)


@pytest.mark.parametrize(
    ("document", "key"),
    [
        (nested(body.MAX_DEPTH + 1), "guard_depth"),
        ({"data": [LONG]}, "guard_text_length"),
        ({"data": [{LONG: 1}]}, "guard_text_length"),
        ({"session_hash": LONG}, "guard_text_length"),
        ({"data": ["x" * body.MAX_TEXT] * 11}, "guard_text_length"),
        ({"data": [10**19]}, "guard_number"),
        ({"data": [-(10**400)]}, "guard_number"),
        ({"data": [float("inf")]}, "guard_number"),
        ({"data": ["\ud800"]}, "guard_malformed"),
        ({"data": ["data:image/jpeg;base64,AAAA"]}, "guard_photo_position"),
        ({"data": [{"url": "data:image/jpeg;base64," + "A" * 5000}]}, "guard_photo_position"),
        ({"data": [{"path": f"{get_upload_folder()}/{CHECKSUM}/a.jpg"}] * (body.MAX_FILES + 1)}, "guard_file_count"),
        ({"data": [{"path": "/etc/passwd"}]}, "guard_foreign_file"),
        ({"data": [{"path": {"path": None}}]}, "guard_foreign_file"),
        ({"data": [{"path": 7}]}, "guard_foreign_file"),
    ],
)
def test_a_document_beyond_a_limit_is_refused(document: Any, key: str) -> None:
    with pytest.raises(RequestRefusedError) as refusal:
        check(document, 100)
    assert refusal.value.key == key
    assert 400 <= refusal.value.status < 500


def test_a_document_within_the_limits_passes() -> None:
    check({"data": [None, True, 1.5, "3a", nested(body.MAX_DEPTH - 2), {"path": None}], "session_hash": "a"}, 100)
    check({"data": ["x" * body.MAX_TEXT]}, 3000)
    check(list(range(1024)), 5000)


def test_only_a_data_address_at_a_photo_position_may_be_of_any_length() -> None:
    photo = {"url": "data:image/jpeg;base64," + "A" * 1_000_000}
    check({"data": [photo]}, 1_000_100, {(id(photo), "url")})
    for other in ({"url": "A" * 1_000_000}, {"url": "data:," + "é" * 1_000_000}, {"URL": photo["url"]}):
        with pytest.raises(RequestRefusedError, match=r"guard_text_length|guard_photo_position"):
            check({"data": [other]}, 1_000_100, {(id(other), "url")})
    with pytest.raises(RequestRefusedError, match="guard_malformed"):
        check({"data": [photo]}, 1_000_100 + body.MAX_OTHER_BYTES, {(id(photo), "url")})


# ---------------------------------------------------------------- paths


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that are resolved in the file system during the test."""
    paths: list[str] = []
    real = os.path.realpath

    def record(path: Any, **options: Any) -> Any:
        paths.append(os.fspath(path))
        return real(path, **options)

    monkeypatch.setattr(os.path, "realpath", record)
    return paths


@pytest.mark.parametrize(
    "path",
    [
        "/" + "a/" * 500_000,
        "a/" * 500_000,
        "../" * 300_000,
        f"{get_upload_folder()}/{CHECKSUM}/" + "a" * MAX_PATH,
        f"{get_upload_folder()}/{CHECKSUM}/a\0.jpg",
        "/etc/passwd",
        "",
        f"{get_upload_folder()}/../{CHECKSUM}/a.jpg",
        f"{get_upload_folder()}/{CHECKSUM}/..",
        f"{get_upload_folder()}/{CHECKSUM}/b/../a.jpg",
        f"{get_upload_folder()}/{CHECKSUM[1:]}/a.jpg",
        f"{get_upload_folder()}/{CHECKSUM}",
    ],
    ids=range(12),
)
def test_a_path_of_another_form_is_rejected_before_the_file_system_is_consulted(path: str, resolved: list[str]) -> None:
    assert not is_uploaded(path)
    assert path not in resolved
    # Only the upload folder itself is resolved, as it may be a symbolic link.
    assert {Path(resolved_path) for resolved_path in resolved} <= {Path(get_upload_folder())}


def test_an_uploaded_file_is_recognised_if_the_upload_folder_is_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real" / CHECKSUM).mkdir(parents=True)
    (tmp_path / "real" / CHECKSUM / "a.jpg").touch()
    (tmp_path / "secret.jpg").touch()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / CHECKSUM / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    for folder in ("real", "link"):
        monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / folder))
        assert is_uploaded(str(tmp_path / folder / CHECKSUM / "a.jpg"))
        assert is_uploaded(str(tmp_path / "real" / CHECKSUM / "a.jpg"))
        assert not is_uploaded(str(tmp_path / folder / CHECKSUM / "out.jpg")), "a link must not lead out of the folder"


def test_no_file_is_resolved_if_too_many_are_named(resolved: list[str]) -> None:
    uploaded = {"path": f"{get_upload_folder()}/{CHECKSUM}/a.jpg"}
    resolved.clear()
    with pytest.raises(RequestRefusedError, match="guard_file_count"):
        check({"data": [uploaded] * 100}, 20_000)
    assert resolved == []
