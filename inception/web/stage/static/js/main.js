/** Starts the page: fetches its words while the modules of the stage are on their way. */

import { stateOf } from "./state.js";
import { loadWords } from "./words.js";

/** @import {Language} from "./types.js" */

/** @returns {Language} */
function preferredLanguage() {
  return navigator.languages.find((one) => /^(zh|en)/.test(one))?.startsWith("zh") ? "zh" : "en";
}

const language = stateOf(location.search).lang ?? preferredLanguage();
const words = loadWords(language);
const { start } = await import("./start.js");
await start(language, words);
