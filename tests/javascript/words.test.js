import assert from "node:assert/strict";
import { test } from "node:test";

import { page } from "./support.js";

const { branchName, className, englishName, exampleName, inWords, joined, known, language, loadWords, t, useWords } = await page("words.js");

const ENGLISH = {
  "answer.numbered": "{name} (class {number})",
  "branch.name_pool": "pool",
  "x.greeting": "Hello, {name}. {name}!",
  "x.only_english": "only here",
  "x.channels": { one: "{count} channel", other: "{count} channels" },
};
const CHINESE = { "answer.only_english": "无中文名", "branch.name_pool": "池化", "x.greeting": "{name}，你好", "x.channels": { other: "{count} 个通道" } };

/** Load both languages, and use the one with this code. */
function speak(code) {
  const catalogues = { en: ENGLISH, zh: CHINESE };
  useWords(code === "en" ? "zh" : "en", catalogues[code === "en" ? "zh" : "en"]);
  useWords(code, catalogues[code]);
  assert.equal(language(), code);
}

test("the language requested last is used; one that fails to load leaves the words unchanged", async (context) => {
  const files = new Map([["zh", { ok: false, status: 502 }], ["en", { ok: true, json: async () => ENGLISH }]]);
  let release = () => undefined;
  const gate = new Promise((open) => (release = open));
  globalThis.document = { documentElement: {} };
  context.mock.method(globalThis, "fetch", async (address) => {
    const [name] = String(address).match(/\w\w(?=\.json$)/);
    if (name === "zh") await gate;
    return files.get(name);
  });
  const failed = assert.rejects(loadWords("zh"));
  await loadWords("en");
  release();
  await failed;
  assert.equal(language(), "en");
  files.set("zh", { ok: true, json: async () => CHINESE });
  const late = loadWords("zh");
  await loadWords("en");
  await late;
  assert.equal(language(), "en");
  await loadWords("zh");
  assert.equal(t("branch.name_pool"), "池化");
  delete globalThis.document;
});

test("placeholders are replaced at every occurrence", () => {
  speak("en");
  assert.equal(t("x.greeting", { name: "bee" }), "Hello, bee. bee!");
  assert.equal(t("x.greeting", { name: "{name} $& $1" }), "Hello, {name} $& $1. {name} $& $1!");
  assert.equal(t("x.greeting", { name: 0 }), "Hello, 0. 0!");
  assert.equal(t("x.greeting"), "Hello, {name}. {name}!", "missing values stay visible");
  speak("zh");
  assert.equal(t("x.greeting", { name: "蜜蜂" }), "蜜蜂，你好");
});

test("plurals follow the language", () => {
  speak("en");
  assert.deepEqual([0, 1, 2].map((count) => t("x.channels", { count })), ["0 channels", "1 channel", "2 channels"]);
  speak("zh");
  assert.deepEqual([0, 1, 2].map((count) => t("x.channels", { count })), ["0 个通道", "1 个通道", "2 个通道"]);
});

test("missing texts fall back to English, and then to the key", () => {
  speak("zh");
  assert.equal(t("x.only_english"), "only here");
  assert.equal(t("x.nowhere"), "x.nowhere");
});

test("a class has its first name, in the language in use", () => {
  const network = { labels: ["goldfish, Carassius auratus", "ox"], chinese: { "goldfish, Carassius auratus": "金鱼" } };
  speak("en");
  assert.deepEqual([0, 1, 2].map((i) => className(network, i)), ["goldfish", "ox", "2"]);
  speak("zh");
  assert.deepEqual([0, 1].map((i) => className(network, i)), ["金鱼", "ox"]);
});

test("a branch is written with a multiplication sign", () => {
  speak("en");
  assert.deepEqual(["1x1", "3x3", "5x5", "pool"].map(branchName), ["1×1", "3×3", "5×5", "pool"]);
  speak("zh");
  assert.equal(branchName("pool"), "池化");
});

test("classes with the same name are distinguished by their numbers", () => {
  const network = { labels: ["crane", "ox", "crane, bird"], chinese: { crane: "起重机", "crane, bird": "鹤", ox: "鹤" } };
  speak("en");
  assert.deepEqual([0, 1, 2].map((i) => className(network, i)), ["crane (class 0)", "ox", "crane (class 2)"]);
  speak("zh");
  assert.deepEqual([0, 1, 2].map((i) => className(network, i)), ["起重机", "鹤 (class 1)", "鹤 (class 2)"]);
});

test("a Chinese name is accompanied by the English one, and a missing one is marked", () => {
  const network = { labels: ["goldfish, Carassius auratus", "eft"], chinese: { "goldfish, Carassius auratus": "金鱼" } };
  speak("en");
  assert.deepEqual([0, 1].map((i) => englishName(network, i)), ["", ""]);
  speak("zh");
  assert.deepEqual([0, 1].map((i) => englishName(network, i)), ["goldfish", "无中文名"]);
  assert.equal(englishName({ ...network, chinese: {} }, 1), "", "a network's own classes are not marked");
});

test("two networks side by side each have their own Chinese names", () => {
  speak("zh");
  const known = { labels: ["ox", "bee"], chinese: { ox: "牛", bee: "蜜蜂" } };
  const own = { labels: ["ox", "bee"], chinese: {} };
  assert.deepEqual([known, own, known].map((network) => className(network, 0)), ["牛", "ox", "牛"]);
  assert.deepEqual([known, own].map((network) => englishName(network, 1)), ["bee", ""]);
});

test("in Chinese there is no space beside a Chinese value", () => {
  useWords("zh", { ...CHINESE, "x.channel": "{branch} 的通道 {channel}", "x.branch": "模块 {block} 的 {branch} 分支" });
  assert.equal(t("x.channel", { branch: "池化", channel: 24 }), "池化的通道 24");
  assert.equal(t("x.channel", { branch: "1×1", channel: 24 }), "1×1 的通道 24");
  assert.equal(t("x.branch", { block: "4c", branch: "池化" }), "模块 4c 的池化分支");
  speak("en");
  assert.equal(t("x.greeting", { name: "金鱼 缸" }), "Hello, 金鱼 缸. 金鱼 缸!", "only in Chinese");
});

test("a key that the server names has a fallback", () => {
  useWords("zh", { ...CHINESE, "photo.example_honey_bee": "蜜蜂" });
  assert.deepEqual(["honey_bee", "tea_pot"].map(exampleName), ["蜜蜂", "tea pot"]);
  assert.equal(known("x.nowhere", "as it is"), "as it is");
});

test("there is a space between sentences in English only", () => {
  speak("en");
  assert.equal(joined(["One.", "", "Two."]), "One. Two.");
  speak("zh");
  assert.equal(joined(["一。", "", "二。"]), "一。二。");
});

test("large counts are written in the units of the language", () => {
  speak("en");
  assert.deepEqual([231211008, 4_816_896, 50_176].map(inWords), ["231.2 million", "4.817 million", "50.18 thousand"]);
  speak("zh");
  assert.deepEqual([231211008, 4_816_896, 50_176].map(inWords), ["2.312 亿", "481.7 万", "5.018 万"]);
});
