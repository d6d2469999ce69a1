"""Images as Fourier spectra with decorrelated colours, to be optimised.

Gradient steps on a spectrum whose amplitudes fall as 1/frequency, as those of photos do, and on colours that are
uncorrelated over photos, move all scales and colours of an image alike; steps on pixels favour high frequencies. Olah,
Mordvintsev and Schubert, "Feature Visualization", Distill 2017, section "Preconditioning and Parameterization".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

START = 0.01  # standard deviation of the spectrum at the beginning, which gives an almost plain grey
CONTRAST = 0.25  # factor of the values before the sigmoid; a smaller one saturates later

# Square root of the covariance of red, green and blue over ImageNet's pixels, its singular vectors in the columns: the
# constants of lucid (Apache 2.0), lucid/optvis/param/color.py.
COLOUR_ROOT = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))


class FourierImage(nn.Module):
    """A batch of images (N, 3, H, W) in 0..1, computed from its parameter `spectrum` (N, 3, H, W // 2 + 1, 2).

    The last axis of the spectrum holds real and imaginary parts, the third and fourth the frequencies of a real FFT.
    The same generator state gives the same images.
    """

    amplitudes: Tensor
    colours: Tensor

    def __init__(self, count: int, height: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        amplitudes, colours = frequency_amplitudes(height, width), colour_matrix()
        spectrum = START * torch.randn(count, 3, *amplitudes.shape, 2, generator=generator)
        self.spectrum = nn.Parameter(spectrum)
        self.size = (height, width)
        self.register_buffer("amplitudes", amplitudes)
        self.register_buffer("colours", colours)

    def forward(self) -> Tensor:
        scaled = torch.view_as_complex(self.spectrum * self.amplitudes[..., None])
        values = CONTRAST * torch.fft.irfft2(scaled, s=self.size, norm="ortho")
        return torch.sigmoid(torch.einsum("ck,nkhw->nchw", self.colours, values))


def frequency_amplitudes(height: int, width: int) -> Tensor:
    """Return 1 / frequency (H, W // 2 + 1), in cycles a pixel; that of frequency 0 is the lowest other one's."""
    across, down = torch.fft.rfftfreq(width), torch.fft.fftfreq(height)
    return 1 / torch.hypot(down[:, None], across[None, :]).clamp_min(1 / max(height, width))


def colour_matrix() -> Tensor:
    """Return the matrix (3, 3) from decorrelated colours to red, green and blue; its longest column has length 1."""
    root = torch.tensor(COLOUR_ROOT)
    return root / root.norm(dim=0).max()
