/**
 * Types of the lesson; nothing here runs.
 *
 * @import {Branch, Data, State, Subject} from "../types.js"
 * @import {Source} from "../source.js"
 *
 * @typedef {string | number | {cls: number} | {branch: Branch} | {p: number} | {signed: number} | {short: number} | {word: string}} Value
 *   a number of a sentence, written in the language of the page when it is drawn
 *
 * @typedef {object} Said  a sentence
 * @property {string} key  of the words
 * @property {Record<string, Value>} [values]
 *
 * @typedef {object} Choice
 * @property {string} id
 * @property {Said} says
 * @property {Branch} [branch]  whose colour it has
 * @property {number} [size]  of an ordered thing, in channels
 *
 * @typedef {object} Plan  what a step found out about the photo and the network at hand
 * @property {Partial<State>} patch  what the stage shows while the student thinks
 * @property {Said[]} ask
 * @property {Choice[]} choices
 * @property {boolean} weak  this photo does not show clearly what the step is about; an example does
 * @property {any} facts  what `check` needs
 *
 * @typedef {object} Verdict
 * @property {boolean} done  false: the student goes on trying
 * @property {boolean} right
 * @property {Said[]} says
 * @property {Partial<State>} [patch]  what the stage shows now
 *
 * @typedef {object} Scenery  what a step may look at
 * @property {Readonly<State>} state
 * @property {Readonly<Data>} data
 * @property {Pick<Source, "table" | "votes" | "evidence" | "block" | "tuning" | "scene">} source
 * @property {Subject} subject
 *
 * @typedef {object} Step
 * @property {string} id
 * @property {string} title  key of the words
 * @property {"choice" | "order" | "act"} kind  a button, all buttons in order, or something done on the stage
 * @property {string} [confirm]  key of the button that makes what is done on the stage the answer; without it, it is
 *   the answer at once
 * @property {boolean} hidesWorth  the worth of branches and channels would give the answer away
 * @property {boolean} [keepsCrop]  moving the square is part of the answer, not a new question
 * @property {(scenery: Scenery) => Promise<Plan>} enter
 * @property {(plan: Plan, state: Readonly<State>, data: Readonly<Data>, before: string | null) => string | null} [read]
 *   the answer that the stage shows, for what is done there; `before` is the last one
 * @property {(plan: Plan, answer: string, scenery: Scenery) => Promise<Verdict>} check
 * @property {(plan: Plan, scenery: Scenery) => Promise<Verdict>} [show]  the answer, for a student who gives up
 */

export {};
