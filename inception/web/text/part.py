"""What the page says about the part of a photo that the network sees, in English and Chinese."""

from __future__ import annotations

TEXT: dict[str, dict[str, str]] = {
    "en": {
        "part": "Move the square, or show the network all of the photo",
        "part_alt": "Your whole photo",
        "part_across": "left to right",
        "part_down": "top to bottom",
        "part_whole": "the whole photo, with margins",
        "part_centre_seen": "The centre square",
        "part_moved_seen": "The square that you chose",
        "part_whole_seen": "The whole photo with margins of the network's mean colour",
        "seen_note": "{part} at {size}×{size} pixels: everything below is computed from it.",
        "seen_note_small": "{part}, brought to {crop}×{crop} pixels and shown to the network at {size}×{size}: everything below is computed from it.",
    },
    "zh": {
        "part": "移动方框，或让网络看整张照片",
        "part_alt": "你的整张照片",
        "part_across": "左右",
        "part_down": "上下",
        "part_whole": "整张照片，四周留边",
        "part_centre_seen": "照片正中的方形",
        "part_moved_seen": "你选定的方形",
        "part_whole_seen": "整张照片，用网络的平均色留边",
        "seen_note": "{part}，{size}×{size} 像素：下面的一切都由它算出。",
        "seen_note_small": "{part}，先缩到 {crop}×{crop} 像素，再放大到 {size}×{size} 交给网络：下面的一切都由它算出。",
    },
}
