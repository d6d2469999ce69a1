"""What the page says about its own limits and about the names of classes, in English and Chinese."""

from __future__ import annotations

TEXT: dict[str, dict[str, str]] = {
    "en": {
        "doubt": "Probably none of the {classes} classes: the evidence is weak. Even the best has only {probability}.",
        "doubt_rule": "A photo is doubted where even the best class has less than {threshold}. Measured on photos that had no part in choosing this number: of 100 photos of something else, {caught} are doubted ({outside} photos); of 100 photos of its classes, wrongly, {doubted} ({inside} photos).",
        "about_name": "Name",
        "about_limits": "Limits",
        "limits_always": "Whatever it is shown, it answers with one of its {classes} classes.",
        "limits_right": "Where both kinds are equally frequent, {right} of 100 doubts are right.",
        "limits_missed": "And of 100 photos of something else, {missed} pass undoubted: no doubt is no proof.",
        "limits_outside": "Something else was: {photos}.",
        "limits_unmeasured": "When it should doubt has not been measured, so it never does.",
        "class_english": "{label} (English name)",
        "honest_between": " ",
    },
    "zh": {
        "doubt": "很可能不属于这 {classes} 个类别中的任何一个：证据很弱，连最可能的类别也只有 {probability}。",
        "doubt_rule": "连最可能的类别的概率也低于 {threshold} 时，就会存疑。用未参与选定这个数的照片测得：100 张其他东西的照片中，它存疑 {caught} 张（共 {outside} 张）；100 张属于这些类别的照片中，它错误地存疑 {doubted} 张（共 {inside} 张）。",
        "about_name": "名称",
        "about_limits": "局限",
        "limits_always": "无论给它看什么，它都会回答这 {classes} 个类别中的一个。",
        "limits_right": "如果两类照片一样多，100 次存疑中有 {right} 次是对的。",
        "limits_missed": "而 100 张其他东西的照片中有 {missed} 张没有被怀疑：没有存疑并不等于答案可靠。",
        "limits_outside": "“其他东西”是指：{photos}。",
        "limits_unmeasured": "没有测量过它何时应当存疑，所以它从不存疑。",
        "class_english": "{label}（英文名）",
        "honest_between": "",
    },
}
