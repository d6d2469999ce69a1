"""What the live camera says, in English and Chinese."""

from __future__ import annotations

TEXT: dict[str, dict[str, str]] = {
    "en": {
        "live": "Live: hold something before the camera",
        "live_lead": "The answer and the mean maps of the chosen block follow the camera. Nothing is kept, and nothing is sent while the page is hidden.",
        "live_start": "Start the camera",
        "live_stop": "Stop the camera",
        "live_refused": "The camera cannot be used: it is not there, or the browser was not allowed to use it.",
        "live_video": "Camera",
        "live_map": "Mean map of the {branch} branch of block {block} on the camera's picture",
        "live_answers": "Most probable classes",
        "live_scale": "Block {block}, one scale for all four: 0 to {highest}",
    },
    "zh": {
        "live": "实时：把东西举到摄像头前",
        "live_lead": "答案和所选模块的四张平均图跟随摄像头变化。画面不会保存；页面隐藏时什么也不发送。",
        "live_start": "打开摄像头",
        "live_stop": "关闭摄像头",
        "live_refused": "无法使用摄像头：没有摄像头，或浏览器没有得到许可。",
        "live_video": "摄像头",
        "live_map": "模块 {block} 的 {branch} 分支的平均图，叠在摄像头画面上",
        "live_answers": "最可能的类别",
        "live_scale": "模块 {block}，四条分支共用一个色标：0 到 {highest}",
    },
}
