"""What a request may hold is bounded before it is parsed, before the file system is asked, and in every part."""

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
from inception.web.http.body import Refused, check, count_marks, parse
from inception.web.http.upload_paths import MAX_PATH, is_uploaded

SUM = "0" * 64
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def values_in(told: Any) -> int:
    """How many values, with those of objects' keys."""
    if isinstance(told, dict):
        return 1 + sum(1 + values_in(part) for part in told.values())
    if isinstance(told, list):
        return 1 + sum(map(values_in, told))
    return 1


@given(VALUES, st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "utf-32-le"]), st.booleans())
def test_the_marks_of_a_body_bound_its_values_in_every_encoding(told: Any, encoding: str, ascii_only: bool) -> None:
    sent = json.dumps(told, ensure_ascii=ascii_only).encode(encoding, "surrogatepass")
    assert values_in(told) <= 1 + count_marks(sent)


@pytest.mark.parametrize("sent", [b"", b"{", b"[" * 4000, b"\xff\xfe", b"NaN", b"[Infinity]", b"1" * 5000, b'"\n"'])
def test_what_is_no_json_is_refused(sent: bytes) -> None:
    with pytest.raises(Refused) as refused:
        parse(sent)
    assert (refused.value.status, refused.value.key) == (400, "guard_malformed")


def deep(levels: int) -> Any:
    told: Any = 1
    for _ in range(levels):
        told = [told]
    return told


LONG = "x" * (body.MAX_TEXT + 1)


@pytest.mark.parametrize(
    ("told", "key"),
    [
        (deep(body.MAX_DEPTH + 1), "guard_depth"),
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
        ({"data": [{"path": f"{get_upload_folder()}/{SUM}/a.jpg"}] * (body.MAX_FILES + 1)}, "guard_file_count"),
        ({"data": [{"path": "/etc/passwd"}]}, "guard_foreign_file"),
        ({"data": [{"path": {"path": None}}]}, "guard_foreign_file"),
        ({"data": [{"path": 7}]}, "guard_foreign_file"),
    ],
)
def test_what_is_out_of_bounds_is_refused(told: Any, key: str) -> None:
    with pytest.raises(Refused) as refused:
        check(told, 100)
    assert refused.value.key == key
    assert 400 <= refused.value.status < 500


def test_what_is_within_bounds_passes() -> None:
    check({"data": [None, True, 1.5, "3a", deep(body.MAX_DEPTH - 2), {"path": None}], "session_hash": "a"}, 100)
    check({"data": ["x" * body.MAX_TEXT]}, 3000)
    check(list(range(1024)), 5000)


def test_a_photo_may_be_of_any_length_where_one_is_taken_and_nothing_else_may() -> None:
    photo = {"url": "data:image/jpeg;base64," + "A" * 1_000_000}
    check({"data": [photo]}, 1_000_100, {(id(photo), "url")})
    for told in ({"url": "A" * 1_000_000}, {"url": "data:," + "é" * 1_000_000}, {"URL": photo["url"]}):
        with pytest.raises(Refused, match=r"guard_text_length|guard_photo_position"):
            check({"data": [told]}, 1_000_100, {(id(told), "url")})
    with pytest.raises(Refused, match="guard_malformed"):
        check({"data": [photo]}, 1_000_100 + body.MAX_REST, {(id(photo), "url")})


# ---------------------------------------------------------------- paths


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths for which the file system is asked what they really are."""
    paths: list[str] = []
    real = os.path.realpath

    def counted(path: Any, **options: Any) -> Any:
        paths.append(os.fspath(path))
        return real(path, **options)

    monkeypatch.setattr(os.path, "realpath", counted)
    return paths


@pytest.mark.parametrize(
    "path",
    [
        "/" + "a/" * 500_000,
        "a/" * 500_000,
        "../" * 300_000,
        f"{get_upload_folder()}/{SUM}/" + "a" * MAX_PATH,
        f"{get_upload_folder()}/{SUM}/a\0.jpg",
        "/etc/passwd",
        "",
        f"{get_upload_folder()}/../{SUM}/a.jpg",
        f"{get_upload_folder()}/{SUM}/..",
        f"{get_upload_folder()}/{SUM}/b/../a.jpg",
        f"{get_upload_folder()}/{SUM[1:]}/a.jpg",
        f"{get_upload_folder()}/{SUM}",
    ],
    ids=range(12),
)
def test_what_is_not_written_as_an_uploaded_file_is_refused_before_the_file_system_is_asked(
    path: str, asked: list[str]
) -> None:
    assert not is_uploaded(path)
    assert path not in asked
    # The upload folder itself may be reached by a link: that is asked, and nothing else.
    assert {Path(one) for one in asked} <= {Path(get_upload_folder())}


def test_an_uploaded_file_is_known_also_by_a_link_to_the_upload_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real" / SUM).mkdir(parents=True)
    (tmp_path / "real" / SUM / "a.jpg").touch()
    (tmp_path / "secret.jpg").touch()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / SUM / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    for folder in ("real", "link"):
        monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / folder))
        assert is_uploaded(str(tmp_path / folder / SUM / "a.jpg"))
        assert is_uploaded(str(tmp_path / "real" / SUM / "a.jpg"))
        assert not is_uploaded(str(tmp_path / folder / SUM / "out.jpg")), "a link within leads nowhere"


def test_no_more_files_are_looked_at_than_may_be_named(asked: list[str]) -> None:
    own = {"path": f"{get_upload_folder()}/{SUM}/a.jpg"}
    asked.clear()
    with pytest.raises(Refused, match="guard_file_count"):
        check({"data": [own] * 100}, 20_000)
    assert asked == []
