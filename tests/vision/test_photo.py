"""Opening photos: odd ones are shown correctly, bad ones rejected in one sentence."""

from __future__ import annotations

import io
import os
import struct
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from inception.errors import PhotoError
from inception.vision import photo as photo_module
from inception.vision.photo import MAX_BYTES, MAX_SIDE, open_photo


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def scene(mode: str = "RGB", size: tuple[int, int] = (80, 60)) -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", size, "red")
    ImageDraw.Draw(image).rectangle((size[0] // 2, 0, *size), "blue")
    return image.convert(mode)


def is_near(pixel: tuple[int, ...], expected: tuple[int, ...], tolerance: int = 12) -> bool:
    return len(pixel) == len(expected) and all(abs(a - b) <= tolerance for a, b in zip(pixel, expected, strict=True))


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "RGB"),
        ("JPEG", "CMYK"),
        ("PNG", "RGB"),
        ("PNG", "P"),
        ("WEBP", "RGB"),
        ("GIF", "P"),
        ("BMP", "RGB"),
        ("TIFF", "RGB"),
    ],
)
def test_common_formats_keep_their_colours(kind: str, mode: str) -> None:
    photo = open_photo(encoded(scene(mode), kind))
    assert (photo.mode, photo.size) == ("RGB", (80, 60))
    assert is_near(photo.getpixel((10, 30)), (255, 0, 0), 30)
    assert is_near(photo.getpixel((70, 30)), (0, 0, 255), 30)


@pytest.mark.parametrize(("orientation", "corner"), [(1, "red"), (3, "blue"), (6, "red"), (8, "blue")])
def test_exif_orientation_is_applied(orientation: int, corner: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = open_photo(encoded(scene(), "JPEG", exif=exif, quality=95))
    assert photo.size == ((80, 60) if orientation in (1, 3) else (60, 80))
    assert is_near(photo.getpixel((3, 3)), (255, 0, 0) if corner == "red" else (0, 0, 255), 30)


def test_transparent_pixels_become_white() -> None:
    image = scene("RGBA")
    image.putalpha(Image.new("L", image.size, 0))
    assert open_photo(encoded(image, "PNG")).getpixel((10, 10)) == (255, 255, 255)
    palette = scene("P")
    assert open_photo(encoded(palette, "PNG", transparency=palette.getpixel((10, 30)))).getpixel((10, 30)) == (255,) * 3


def test_sixteen_bits_become_eight_without_clipping() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(8, axis=0)
    photo = open_photo(encoded(Image.fromarray(ramp), "PNG"))
    assert np.abs(np.asarray(photo)[0, :, 0].astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize("size", [(4300, 900), (900, 4300), (6500, 1), (1, 6500)])
def test_a_large_sixteen_bit_photo_keeps_its_values(size: tuple[int, int]) -> None:
    values = np.full((size[1], size[0]), 40_000, np.uint16)
    photo = open_photo(encoded(Image.fromarray(values), "PNG"))
    assert max(photo.size) <= MAX_SIDE
    assert set(np.unique(np.asarray(photo))) == {round(40_000 / 257)}


@pytest.mark.parametrize("values", [np.linspace(0, 1, 64), np.linspace(-3, 9, 64), np.linspace(0, 255, 64)])
def test_float_samples_span_black_to_white(values: np.ndarray) -> None:
    image = Image.fromarray(values.astype(np.float32)[None].repeat(4, axis=0))
    row = np.asarray(open_photo(encoded(image, "TIFF")))[0, :, 0].astype(int)
    assert (row[0], row[-1]) == (0, 255)
    assert (np.diff(row) >= 0).all()


def test_grey_has_three_equal_channels() -> None:
    samples = np.asarray(open_photo(encoded(scene("L"), "PNG")))
    assert (samples[..., 0] == samples[..., 1]).all()
    assert (samples[..., 0] == samples[..., 2]).all()


def test_an_animation_shows_its_first_frame() -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("lime", "red")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert is_near(open_photo(data).getpixel((20, 20)), (0, 255, 0))


@pytest.mark.parametrize("size", [(6000, 400), (400, 6000), (4000, 3000)])
def test_a_large_photo_is_scaled_down_to_the_size_limit(size: tuple[int, int]) -> None:
    photo = open_photo(encoded(scene(size=size), "JPEG"))
    assert max(photo.size) <= MAX_SIDE
    assert photo.width / photo.height == pytest.approx(size[0] / size[1], rel=0.02)


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1)])
def test_thin_and_tiny_photos_open(size: tuple[int, int]) -> None:
    assert open_photo(encoded(Image.new("RGB", size, "red"), "PNG")).mode == "RGB"


def truncated() -> bytes:
    data = encoded(Image.effect_noise((200, 200), 80), "JPEG")
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "photo_empty"),
        (b"this is a text, not a photo", "photo_unknown"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "photo_unknown"),
        (b"\xff\xd8\xff", "photo_unknown"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 64, "photo_unknown"),
        (truncated(), "photo_damaged"),
        (encoded(scene(), "PNG")[:-40], "photo_damaged"),
        (encoded(Image.new("1", (12_000, 12_000)), "PNG"), "photo_large"),
        (encoded(Image.new("1", (20_000, 20_000)), "PNG"), "photo_large"),
        (b"\xff\xd8" + b"\0" * MAX_BYTES, "photo_heavy"),
    ],
    ids=[
        "empty",
        "text",
        "svg",
        "jpeg-mark",
        "png-mark",
        "cut-jpeg",
        "cut-png",
        "144-megapixel",
        "400-megapixel",
        "heavy",
    ],
)
def test_a_bad_file_is_rejected_in_one_sentence(tmp_path: Path, data: bytes, kind: str) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(data)
    for source in (data, file):
        with pytest.raises(PhotoError) as error:
            open_photo(source)
        assert error.value.kind == kind
        assert str(tmp_path) not in str(error.value)
        assert "\n" not in str(error.value)


def test_a_missing_file_is_named_without_its_folder(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"'nowhere\.jpg'") as error:
        open_photo(tmp_path / "nowhere.jpg")
    assert str(tmp_path) not in str(error.value)


def test_non_regular_files_are_rejected_without_being_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)  # opening it would wait for a writer
    endless = tmp_path / "endless.jpg"
    endless.symlink_to("/dev/zero")  # has size 0 and never ends
    for source, kind in ((pipe, "photo_missing"), (endless, "photo_missing"), (tmp_path, "photo_folder")):
        with pytest.raises(PhotoError) as error:
            open_photo(source)
        assert error.value.kind == kind


@pytest.mark.skipif(not Path("/proc/cpuinfo").is_file(), reason="needs the /proc of Linux")
def test_a_file_of_unknown_size_is_read_only_up_to_the_size_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inception.vision.photo.MAX_BYTES", 100)
    with pytest.raises(PhotoError) as error:
        open_photo("/proc/cpuinfo")  # regular, of size 0, and with content
    assert error.value.kind == "photo_heavy"


def grey_tiff(samples: bytes, bits: int, *, zero_is_white: bool) -> bytes:
    """A grey TIFF of 64 x 1 pixels in one strip; Pillow writes none with these fields."""
    fields = [
        (256, 64),
        (257, 1),
        (258, bits),
        (259, 1),
        (262, 0 if zero_is_white else 1),
        (273, 8),
        (277, 1),
        (278, 1),
    ]
    fields.append((279, len(samples)))
    directory = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in fields)
    head = b"II*\0" + struct.pack("<I", 8 + len(samples))
    return head + samples + struct.pack("<H", len(fields)) + directory + bytes(4)


def first_row(data: bytes) -> np.ndarray:
    return np.asarray(open_photo(data))[0, :, 0].astype(int)


def test_twelve_bits_span_black_to_white() -> None:
    values = np.linspace(0, 4095, 64).astype(int)
    first, second = values[::2], values[1::2]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1).astype(np.uint8)
    row = first_row(grey_tiff(packed.tobytes(), 12, zero_is_white=False))
    assert np.abs(row - values / 4095 * 255).max() <= 1


@pytest.mark.parametrize("zero_is_white", [True, False])
def test_what_zero_means_is_read_from_a_tiff(zero_is_white: bool) -> None:
    values = np.linspace(0, 65535, 64).astype("<u2")
    row = first_row(grey_tiff(values.tobytes(), 16, zero_is_white=zero_is_white))
    assert np.abs((255 - row if zero_is_white else row) - values / 257).max() <= 1


@pytest.mark.parametrize("size", [(8, 8), (4300, 8)])
def test_a_transparent_grey_of_sixteen_bits_is_white(size: tuple[int, int]) -> None:
    samples = np.full(size[::-1], 20_000, np.uint16)
    samples[:4] = 1000
    row, last = (
        np.asarray(open_photo(encoded(Image.fromarray(samples), "PNG", transparency=1000)))[at] for at in (0, -1)
    )
    assert (row == 255).all()
    assert (last == round(20_000 / 257)).all()


def test_the_size_of_a_heavy_file_is_never_the_limit_itself() -> None:
    with pytest.raises(PhotoError, match=r"This file is 40\.1 MB; a photo may have at most 40 MB"):
        open_photo(bytes(MAX_BYTES + 1))


def test_filters_of_warnings_that_another_thread_sets_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    decoding, filtered = threading.Event(), threading.Event()

    def wait(image: Image.Image, orientation: int) -> Image.Image:
        decoding.set()
        assert filtered.wait(10)
        return image

    monkeypatch.setattr(photo_module, "_decoded", wait)
    thread = threading.Thread(target=open_photo, args=(encoded(scene(), "PNG"),))
    thread.start()
    assert decoding.wait(10)
    warnings.filterwarnings("error", message="of this test")
    filtered.set()
    thread.join()
    with pytest.raises(UserWarning, match="of this test"):
        warnings.warn("of this test", stacklevel=1)


def test_warnings_of_pillow_are_ignored_whatever_was_set() -> None:
    data = grey_tiff(bytes(64), 8, zero_is_white=False)
    twice = data.replace(struct.pack("<HHIHH", 257, 3, 1, 1, 0), struct.pack("<HHIHH", 257, 3, 2, 1, 1))
    with pytest.warns(UserWarning, match="tag 257 had too many entries"):
        Image.open(io.BytesIO(twice))
    for _ in range(2):
        warnings.simplefilter("error")
        assert open_photo(twice).size == (64, 1)
