"""Fourier images, compared with NumPy and with the constants written out again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inception.units.fourier_image import FourierImage


def numpy_images(spectrum: np.ndarray, height: int, width: int) -> np.ndarray:
    """The images (N, 3, H, W) of complex spectra (N, 3, H, W // 2 + 1), in float64."""
    rows = np.minimum(np.arange(height), height - np.arange(height)) / height
    columns = np.arange(width // 2 + 1) / width
    frequency = np.sqrt(rows[:, None] ** 2 + columns[None, :] ** 2)
    frequency[0, 0] = 1 / max(height, width)
    values = (
        np.fft.irfft2(spectrum / np.maximum(frequency, 1 / max(height, width)), s=(height, width), norm="ortho") / 4
    )
    mixing = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
    mixing /= max(np.sqrt((column**2).sum()) for column in mixing.T)
    red_green_blue = np.stack([sum(mixing[c, k] * values[:, k] for k in range(3)) for c in range(3)], axis=1)
    return 1 / (1 + np.exp(-red_green_blue))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (27, 27), (43, 60), (32, 59)])
def test_images_match_numpy(height: int, width: int) -> None:
    images = FourierImage(2, height, width, torch.Generator().manual_seed(0))
    with torch.no_grad():
        images.spectrum.mul_(300)  # otherwise the images would be almost grey
    parts = images.spectrum.detach().double().numpy()
    pixels = images().detach().numpy()
    assert pixels.shape == (2, 3, height, width)
    assert np.ptp(pixels) > 0.9
    assert np.abs(pixels - numpy_images(parts[..., 0] + 1j * parts[..., 1], height, width)).max() <= 1e-6


def test_initial_images_are_almost_grey_and_depend_on_the_seed() -> None:
    first, again, other = (
        FourierImage(1, 48, 48, torch.Generator().manual_seed(seed))().detach() for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert float((first - 0.5).abs().max()) < 0.1


def test_gradient_is_largest_at_low_frequencies() -> None:
    images = FourierImage(1, 32, 32, torch.Generator().manual_seed(0))
    (images() * torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))).sum().backward()
    gradient = images.spectrum.grad[0].square().sum(dim=(0, 3)).sqrt()
    assert float(gradient[1:3, 1:3].mean()) > 4 * float(gradient[12:20, 12:].mean())
