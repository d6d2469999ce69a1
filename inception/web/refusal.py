"""What the page says where the server did not answer a click: Gradio itself says so of what waits in its queue only."""

from __future__ import annotations

import json

from .text import LANGUAGES, say

SHOWN_MILLISECONDS = 9000

# The server's own sentence where it has one, in the visitor's language.
SAID = (
    f"const DEFAULT = {json.dumps({code: say(code, 'no_answer') for code in LANGUAGES})}, SHOWN = {SHOWN_MILLISECONDS};"
    + """
const tell = sentence => {
  document.querySelector('.il-refusal')?.remove();
  const language = document.querySelector('#il-language input:checked')?.value ?? 'en';
  const note = document.createElement('p');
  note.className = 'il-refusal';
  note.setAttribute('role', 'alert');
  note.textContent = typeof sentence === 'string' && sentence ? sentence : DEFAULT[language];
  document.querySelector('.gradio-container').append(note);
  setTimeout(() => note.remove(), SHOWN);
};
const ask = window.fetch;
window.fetch = async (...told) => {
  const click = String(told[0]?.url ?? told[0]).includes('/run/predict');
  try {
    const reply = await ask(...told);
    if (click && !reply.ok) tell((await reply.clone().json().catch(() => null))?.error);
    return reply;
  } catch (error) {
    if (click && error.name !== 'AbortError') tell();
    throw error;
  }
};
"""
)
