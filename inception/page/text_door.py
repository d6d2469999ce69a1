"""What is said to those who ask for too much, or for what is not theirs, in English and Chinese."""

from __future__ import annotations

TEXT: dict[str, dict[str, str]] = {
    "en": {
        "door_often": "This is asked faster than the server can share itself out; please wait {seconds} seconds and try again.",
        "door_busy": "Very many people use this page at the moment; please try again in {seconds} seconds.",
        "door_stored": "So many photos were sent within the last hour that there is no room for more; please try again in {minutes} minutes.",
        "door_heavy": "What was sent is too large: a photo may have at most {limit} MB. Please choose a smaller one.",
        "door_heavy_data": "What was sent is larger than the {limit} MB that are allowed here; please upload the photo as a file, or choose a smaller one.",
        "no_answer": "The server did not answer that; please try again in a moment.",
        "door_heavy_photo": "This file has {megabytes:.0f} MB; a photo may have at most {limit} MB. Please choose a smaller one.",
        "door_foreign": "Only a photo that was sent to this page can be opened here, no other file and no address; please upload it.",
        "door_malformed": "What was sent could not be read; please reload the page and try again.",
        "door_nothing": "There is nothing here; please go back to the page.",
    },
    "zh": {
        "door_often": "请求太快，服务器来不及分配；请等待 {seconds} 秒后再试。",
        "door_busy": "现在使用本页面的人非常多，请 {seconds} 秒后再试。",
        "door_stored": "最近一小时内上传的照片太多，已没有空间；请 {minutes} 分钟后再试。",
        "door_heavy": "发送的内容太大：照片最多 {limit} MB，请换一张小一些的。",
        "door_heavy_data": "发送的内容超过了此处允许的 {limit} MB，请把照片作为文件上传，或换一张小一些的。",
        "no_answer": "服务器没有回应这一步，请稍后再试。",
        "door_heavy_photo": "这个文件有 {megabytes:.0f} MB，照片最多 {limit} MB。请换一张小一些的。",
        "door_foreign": "这里只能打开上传到本页面的照片，不能打开其他文件或网址；请上传照片。",
        "door_malformed": "无法读取发送的内容，请重新加载页面后再试。",
        "door_nothing": "这里什么也没有，请回到页面。",
    },
}
