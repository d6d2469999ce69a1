/** Starts the page: fetches its words while the modules of the stage are on their way. */

import { stateOf } from "./state.js";
import { loadWords, preferredLanguage } from "./words.js";

const language = stateOf(location.search).lang ?? preferredLanguage();
const words = loadWords(language);
const { start } = await import("./start.js");
await start(language, words);
