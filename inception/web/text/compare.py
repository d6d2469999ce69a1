"""What the comparison says, in English and Chinese."""

from __future__ import annotations

TEXT: dict[str, dict[str, str]] = {
    "en": {
        "compare": "Compare: another photo, or another network on the same photo",
        "compare_photo": "Other photo (leave empty for the same one)",
        "compare_model": "Other network",
        "compare_same": "Choose another photo or another network here: both then stand side by side.",
        "compare_waiting": "Choose a photo at the top of the page first.",
        "compare_title": "Block {block}: mean maps on one scale for all eight, 0 to {highest}",
        "compare_first": "Yours",
        "compare_second": "The other",
        "compare_map": "{which}: mean map of the {branch} branch of block {block}",
        "compare_numbers": "mean {mean} · {silent} of {channels} silent",
    },
    "zh": {
        "compare": "比较：另一张照片，或另一个网络看同一张照片",
        "compare_photo": "另一张照片（留空则用同一张）",
        "compare_model": "另一个网络",
        "compare_same": "请在这里选另一张照片或另一个网络，两者会并排显示。",
        "compare_waiting": "请先在页面上方选一张照片。",
        "compare_title": "模块 {block}：八张平均图共用一个色标，0 到 {highest}",
        "compare_first": "你的",
        "compare_second": "另一个",
        "compare_map": "{which}：模块 {block} 的 {branch} 分支的平均图",
        "compare_numbers": "平均 {mean} · {channels} 个中有 {silent} 个沉默",
    },
}
