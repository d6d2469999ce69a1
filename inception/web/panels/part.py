"""Which part of the photo the network sees: shown on the whole photo, and moved there."""

from __future__ import annotations

from base64 import b64encode
from html import escape

from ...service.query import Query
from ...vision.preprocessing import Preprocessing
from ..crop_words import WHOLE_WORD
from ..text import say

SMALLEST_WAY = 0.01  # of the photo's side; a square that can go no further cannot be moved that way
STEPS = 100  # of the sliders

# The square follows the finger at once; the network looks again when it is let go. What has just been used
# keeps the keyboard when the server's answer is drawn over it.
MOVE = (
    f"const STEPS = {STEPS};"
    + """
const part = () => element.querySelector('.il-part');
const field = name => part()?.querySelector(`[name=${name}]`);
let used = '';
const show = () => {
  const square = part().querySelector('.il-part-square');
  for (const [name, side, length] of [['across', 'left', 'width'], ['down', 'top', 'height']]) {
    const slider = field(name);
    if (slider) square.style[side] = `${slider.value / STEPS * (100 - parseFloat(square.style[length]))}%`;
  }
  part().classList.toggle('il-part-whole', field('whole').checked);
};
const tell = name => { used = name; trigger('part'); };
const drag = event => {
  const area = event.target.closest?.('.il-part-photo');
  if (!area || (event.type === 'pointermove' && !area.hasPointerCapture(event.pointerId))) return;
  event.preventDefault();
  area.setPointerCapture(event.pointerId);
  const frame = area.getBoundingClientRect(), square = area.querySelector('.il-part-square');
  const ways = [['across', event.clientX - frame.left, frame.width, 'width'],
                ['down', event.clientY - frame.top, frame.height, 'height']];
  for (const [name, at, length, side] of ways) {
    const share = parseFloat(square.style[side]) / 100, slider = field(name);
    if (slider) slider.value = Math.round((at / length - share / 2) / (1 - share) * STEPS);
  }
  field('whole').checked = false;
  show();
};
element.addEventListener('pointerdown', drag);
element.addEventListener('pointermove', drag);
element.addEventListener('pointerup', event => { if (event.target.closest?.('.il-part-photo')) tell(''); });
element.addEventListener('input', event => {
  if (!event.target.closest('.il-part')) return;
  if (event.target.name !== 'whole') field('whole').checked = false;
  show();
});
element.addEventListener('change', event => { if (event.target.closest('.il-part')) tell(event.target.name); });
watch('value', () => setTimeout(() => {
  if (used && document.activeElement === document.body) field(used)?.focus({preventScroll: true});
}, 50));
"""
)
# What was chosen, in the words that `crop_of_photo` reads.
CHOSEN = f"""() => {{
  const part = document.querySelector('#il-seen .il-part');
  if (!part) return '';
  const share = name => (part.querySelector(`[name=${{name}}]`)?.value ?? {STEPS} / 2) / {STEPS};
  const whole = part.querySelector('[name=whole]').checked;
  return `${{whole ? '{WHOLE_WORD}' : `${{share('across')}} ${{share('down')}}`}} ${{part.dataset.photo}}`;
}}"""


def part_html(query: Query, how: Preprocessing, language: str) -> str:
    """The whole photo with the square on it, a slider for each way that it can go, and a box for all of it."""
    photo, frame = query.photo, query.crop
    if photo is None:
        return ""
    left, top, right, bottom = how.crop_box(photo.width, photo.height)
    wide, high = (right - left) / photo.width, (bottom - top) / photo.height
    x, y = frame.across * (1 - wide), frame.down * (1 - high)
    square = f"left:{x:.2%};top:{y:.2%};width:{wide:.2%};height:{high:.2%}"
    sliders = "".join(
        f'<label>{escape(say(language, f"part_{name}"))}<input type="range" name="{name}" min="0" max="{STEPS}" '
        f'value="{at * STEPS:.0f}"></label>'
        for name, room, at in (("across", 1 - wide, frame.across), ("down", 1 - high, frame.down))
        if room > SMALLEST_WAY
    )
    return (
        f'<fieldset class="il-part{" il-part-whole" if frame.whole else ""}" data-photo="{photo.fingerprint}">'
        f"<legend>{escape(say(language, 'part'))}</legend>"
        f'<div class="il-part-photo"><img src="data:image/jpeg;base64,{b64encode(photo.jpeg).decode()}" '
        f'alt="{escape(say(language, "part_alt"))}" draggable="false">'
        f'<span class="il-part-square" style="{square}"></span></div>'
        f'<div class="il-part-ways">{sliders}<label class="il-part-box"><input type="checkbox" name="whole"'
        f"{' checked' if frame.whole else ''}>{escape(say(language, 'part_whole'))}</label></div></fieldset>"
    )
